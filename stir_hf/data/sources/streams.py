"""The first rows of a stream, written to disk with only some rows in memory at a time."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from numbers import Integral
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
from datasets.iterable_dataset import (
    ExamplesIterable,
    RepeatExamplesIterable,
    TakeExamplesIterable,
)
from datasets.packaged_modules.generator.generator import Generator
from datasets.table import embed_table_storage
from PIL import Image

from stir_hf.data.identity import PERMUTATION_SEED, hash_of
from stir_hf.data.images.cells import check_bytes, check_inside, reason
from stir_hf.data.images.memory import as_seen
from stir_hf.data.sources.columns import LABELS, bare, label_column, needed
from stir_hf.data.sources.contents import kept_folder
from stir_hf.data.sources.spec import DataSpec, check_enough, check_limit, limit_of, with_limit
from stir_hf.errors import RequestError
from stir_hf.runtime import Watcher, reading_bar

ROWS_AT_ONCE = 256
"""Number of rows of a stream in memory until they are written; fewer if they are large."""
BYTES_AT_ONCE = 64 << 20


def taken(
    stream: datasets.IterableDataset, spec: DataSpec, progress: bool | Watcher = False
) -> datasets.Dataset:
    """The first rows of a stream, perhaps after a shuffle buffer, in a temporary file that is
    deleted with its last reader. `progress` is as in `open_samples`.

    Raises:
        RequestError: an endless stream or one above its limit, without `num_samples`; no originals
            in its rows; fewer rows than requested.
    """
    steps = getattr(stream, "_ex_iterable", None)
    if spec.num_samples is None and is_endless(steps, _repeats):
        raise RequestError(f"{spec.dataset} is an endless stream; give num_samples")
    if is_endless(steps, _is_generator):
        spec = with_limit(spec)
    with TemporaryDirectory(prefix="stir-hf-", ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "stream.arrow"
        _write(stream, path, spec, lambda table: table, progress=progress)
        return _opened(path, spec)


def kept(
    stream: Callable[[], datasets.IterableDataset],
    spec: DataSpec,
    commit: str,
    url: str,
    progress: bool | Watcher = False,
) -> datasets.Dataset:
    """Like `taken` for a dataset on the Hub at a commit, with the files that its rows name, and
    stored in the cache of `datasets`, so that the other processes of a machine and a command that
    continues do not fetch it again.

    Raises:
        RequestError: as `taken`; or a row that names a file outside of the repo at `url`.
    """
    names = ("dataset", "config_name", "split", "image_column", "num_samples", "shuffle_buffer")
    asked = {name: getattr(spec, name) for name in names}
    cache = kept_folder()
    path = cache / f"{hash_of({**asked, 'commit': commit})[:16]}.arrow"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=cache, ignore_cleanup_errors=True) as folder:
            partial = Path(folder) / path.name
            _write(stream(), partial, spec, embed_table_storage, url, progress)
            partial.replace(path)
    rows = _opened(path, spec)
    check_limit(len(rows), spec)
    return rows


def is_endless(rows: Any, step: Callable[[Any], bool]) -> bool:
    """Return whether a stream is endless, by the last of the steps that `datasets` chains: one of
    them has no end by the predicate `step`, and no later step limits it.
    """
    if isinstance(rows, TakeExamplesIterable):
        return False
    if step(rows):
        return True
    if (several := getattr(rows, "ex_iterables", None)) is not None:
        first = getattr(rows, "stopping_strategy", None) == "first_exhausted"
        return (all if first else any)(is_endless(one, step) for one in several)
    inner = getattr(rows, "ex_iterable", None)
    return inner is not None and is_endless(inner, step)


def _repeats(rows: Any) -> bool:
    return isinstance(rows, RepeatExamplesIterable) and rows.num_times is None


def _is_generator(rows: Any) -> bool:
    """Return whether a step yields the rows of a user's function; files and tables always end."""
    if not isinstance(rows, ExamplesIterable):
        return False
    source = getattr(rows.generate_examples_fn, "__self__", None)
    return isinstance(source, Generator) or not isinstance(source, datasets.DatasetBuilder)


def _opened(path: Path, spec: DataSpec) -> datasets.Dataset:
    split = None if spec.split is None else datasets.NamedSplit(spec.split)
    return datasets.Dataset.from_file(str(path), split=split)


def _needed(stream: datasets.IterableDataset, spec: DataSpec) -> datasets.IterableDataset:
    """The stream, shuffled if requested, with only the needed columns if they are known. Originals
    stay undecoded, so that none is compressed a second time.
    """
    if spec.shuffle_buffer is not None:
        stream = stream.shuffle(seed=PERMUTATION_SEED, buffer_size=spec.shuffle_buffer)
    return stream.with_format(None) if stream.features is None else bare(stream, spec)


class _Encoded(dict[str, Any]):
    """An image from memory, encoded as a file."""


def _inferred(rows: list[dict[str, Any]], spec: DataSpec) -> datasets.Features:
    """The needed columns of rows without declared columns."""
    found = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [row.get(name) for row in rows]
        with suppress(pa.ArrowException, TypeError, ValueError, OverflowError):  # mixed types
            found[name] = datasets.Dataset.from_dict({name: values}).features[name]
            if any(isinstance(value, _Encoded) for value in values):
                found[name] = datasets.Image(decode=False)
    absent = [name for name in LABELS if found.get(name) == datasets.Value("null")]
    if absent and label_column(found) is None:  # later rows may have labels
        found[absent[0]] = datasets.Value("int64")
    return needed(found, spec)


def _write(
    stream: datasets.IterableDataset,
    path: Path,
    spec: DataSpec,
    whole: Callable[[pa.Table], pa.Table],
    url: str | None = None,
    progress: bool | Watcher = False,
) -> None:
    """Write rows to one arrow file, some at a time; `whole` fetches the files that they name.

    Raises:
        RequestError: no originals in the requested column, checked on the first rows; an image in
            memory that cannot be encoded; fewer rows than requested.
    """
    stream = _needed(stream, spec)
    most = limit_of(spec)
    rows = iter(enumerate(islice(stream, spec.num_samples if most is None else most + 1)))
    with reading_bar(spec.dataset, spec.num_samples, progress) as read:
        some = _some(_bare_rows(rows, None, spec, url, read))
        check_enough(min(1, len(some)), replace(spec, num_samples=None))
        declared = stream.features
        columns = declared if declared is not None else _inferred(some, spec)
        labels = _Labels(label_column(columns) if declared is None else None, columns)
        others, count = _bare_rows(rows, list(columns), spec, url, read), 0
        with pa.ipc.new_stream(path, columns.arrow_schema) as writer:
            while some:
                count += len(some)
                check_limit(count, spec)
                named = [labels.kept({name: row.get(name) for name in columns}) for row in some]
                part = datasets.Dataset.from_list(named, features=columns)
                writer.write_table(whole(part.data.table))
                some = _some(others)
    check_enough(count, spec)
    if labels.name is not None and not (labels.some and labels.whole):
        _leave_out(labels.name, path, columns)


class _Labels:
    """Checks of labels in rows without declared types: they count if all are integers."""

    def __init__(self, name: str | None, columns: datasets.Features) -> None:
        self.name, self.some, self.whole = name, False, True
        self.range = None if name is None else np.iinfo(columns[name].dtype)

    def kept(self, row: dict[str, Any]) -> dict[str, Any]:
        """The row, with a label that is not an integer set to None."""
        value = None if self.name is None else row[self.name]
        if self.name is None or self.range is None or value is None:
            return row
        number = isinstance(value, Integral) and not isinstance(value, bool)
        if number and self.range.min <= int(value) <= self.range.max:
            self.some = True
            return row
        self.whole = False
        return {**row, self.name: None}


def _leave_out(name: str, path: Path, columns: datasets.Features) -> None:
    """Rewrite a file without one of its columns."""
    others = datasets.Features(**{n: feature for n, feature in columns.items() if n != name})
    anew = path.with_suffix(".anew")
    with pa.memory_map(str(path)) as file, pa.ipc.new_stream(anew, others.arrow_schema) as writer:
        for batch in pa.ipc.open_stream(file):
            writer.write_batch(batch.select(list(others)))
    anew.replace(path)


def _some(rows: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    """The next rows, up to the limits on rows in memory."""
    found, size = [], 0
    for row in rows:
        found.append(row)
        size += _size(row)
        if len(found) >= ROWS_AT_ONCE or size >= BYTES_AT_ONCE:
            break
    return found


def _size(value: Any) -> int:
    """The bytes of all files in a value."""
    if isinstance(value, dict | list):
        return sum(map(_size, value.values() if isinstance(value, dict) else value))
    return len(value) if isinstance(value, bytes) else 0


def _bare_rows(
    rows: Iterator[tuple[int, dict[str, Any]]],
    names: list[str] | None,
    spec: DataSpec,
    url: str | None,
    read: Callable[[int], None],
) -> Iterator[dict[str, Any]]:
    """Apply `_bare` to numbered rows, restricted to `names` unless that is None; `read` is called
    with the size of each row.
    """
    for i, row in rows:
        try:
            bare = {name: _bare(row.get(name), url) for name in (row if names is None else names)}
        except (RequestError, MemoryError):
            raise
        except Exception as error:  # decoders raise errors of any type
            told = f"image {i} of {spec.dataset} cannot be read: {reason(error)}"
            raise RequestError(told) from error
        read(_size(bare))
        yield bare


def _bare(value: Any, url: str | None) -> Any:
    """Replace images in memory by lossless files of the image as viewers show it, also inside lists
    and dictionaries. A named file must be below `url`, if that is given.
    """
    if isinstance(value, dict):
        if value.keys() == {"bytes", "path"}:
            if value["bytes"]:
                check_bytes(value["bytes"])
                return {**value, "path": None}  # `datasets` would prefer a file of that name here
            if url is not None and value["path"]:
                check_inside(str(value["path"]), [url])
        return {name: _bare(inner, url) for name, inner in value.items()}
    if isinstance(value, list):
        return [_bare(inner, url) for inner in value]
    if isinstance(value, Image.Image):
        return _Encoded(datasets.Image().encode_example(as_seen(value)))
    return value
