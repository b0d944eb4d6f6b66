"""The first images of a stream, on disk: only some at a time are in memory."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import datasets
import pyarrow as pa
from datasets.table import embed_table_storage
from PIL import Image

from stir_hf.data.cells import check_inside
from stir_hf.data.identity import PERMUTATION_SEED, hash_of
from stir_hf.data.image_columns import holds_images, image_column, undecoded
from stir_hf.data.spec import DataSpec, check_enough
from stir_hf.inputs.images import as_seen

ROWS_AT_ONCE = 256
"""So many rows of a stream are in memory until they are written."""

KEPT = "stir_hf"
"""The folder, in the cache of `datasets`, of what was streamed from the Hub."""


def taken(stream: datasets.IterableDataset, spec: DataSpec) -> datasets.Dataset:
    """The first images of a stream, or of one that a buffer shuffles, in a file that goes when
    nobody reads it any more.
    """
    with TemporaryDirectory(prefix="stir-hf-", ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "stream.arrow"
        _write(stream, path, spec, lambda table: table)
        return _opened(path, spec)


def kept(
    stream: Callable[[], datasets.IterableDataset], spec: DataSpec, commit: str, url: str
) -> datasets.Dataset:
    """As `taken`, of a dataset on the Hub at a commit, files included, and kept in the cache of
    `datasets`: the other processes of a machine, and the command that continues, do not fetch it
    again.

    Raises:
        RequestError: as `taken`; a row that names a file outside of the repo, which is at `url`.
    """
    names = ("dataset", "config_name", "split", "num_samples", "shuffle_buffer")
    asked = {name: getattr(spec, name) for name in names}
    cache = Path(datasets.config.HF_DATASETS_CACHE) / KEPT
    path = cache / f"{hash_of({**asked, 'commit': commit})[:16]}.arrow"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=cache, ignore_cleanup_errors=True) as folder:
            partial = Path(folder) / path.name
            _write(stream(), partial, spec, embed_table_storage, url)
            partial.replace(path)
    return _opened(path, spec)


def _opened(path: Path, spec: DataSpec) -> datasets.Dataset:
    split = None if spec.split is None else datasets.NamedSplit(spec.split)
    return datasets.Dataset.from_file(str(path), split=split)


def _rows(
    stream: datasets.IterableDataset, spec: DataSpec, url: str | None
) -> tuple[Iterator[dict[str, Any]], Any]:
    """The rows that are wanted, and their columns where these are known; undecoded where they are
    files: nothing is compressed a second time.
    """
    if spec.shuffle_buffer is not None:
        stream = stream.shuffle(seed=PERMUTATION_SEED, buffer_size=spec.shuffle_buffer)
    columns = stream.features
    if columns is not None:
        image_column(columns, spec)
        for name in [name for name, inner in columns.items() if holds_images(inner)]:
            stream = stream.cast_column(name, undecoded(columns[name]))
        columns = stream.features
    rows = (
        {name: _bare(value, url) for name, value in row.items()}
        for row in islice(stream, spec.num_samples)
    )
    return rows, columns


def _write(
    stream: datasets.IterableDataset,
    path: Path,
    spec: DataSpec,
    whole: Callable[[pa.Table], pa.Table],
    url: str | None = None,
) -> None:
    """Rows as one arrow file, some at a time; `whole` fetches what they name.

    Raises:
        RequestError: no images in what is asked for, known before more than the first rows are
            read; fewer rows than are asked for.
    """
    rows, columns = _rows(stream, spec, url)
    first = list(islice(rows, ROWS_AT_ONCE))
    check_enough(min(1, len(first)), replace(spec, num_samples=None))
    part = datasets.Dataset.from_list(first, features=columns)
    empty = [name for name, f in part.features.items() if f == datasets.Value("null")]
    part, count = part.remove_columns(empty), len(first)
    columns = part.features
    image_column(columns, spec)
    with pa.ipc.new_stream(path, part.data.schema) as writer:
        writer.write_table(whole(part.data.table))
        while some := list(islice(rows, ROWS_AT_ONCE)):
            named = [{name: row.get(name) for name in columns} for row in some]
            part = datasets.Dataset.from_list(named, features=columns)
            writer.write_table(whole(part.data.table))
            count += len(some)
    check_enough(count, spec)


def _bare(value: Any, url: str | None) -> Any:
    """An image as it is seen, so that it can be kept as a file without loss; those inside a list
    or a dictionary too. A file that is named must be below `url`, if there is one.
    """
    if isinstance(value, dict):
        if value.keys() == {"bytes", "path"}:
            if value["bytes"]:  # `datasets` would prefer a file here that has the same name
                return {**value, "path": None}
            if url is not None and value["path"]:
                check_inside(str(value["path"]), [url])
        return {name: _bare(inner, url) for name, inner in value.items()}
    if isinstance(value, list):
        return [_bare(inner, url) for inner in value]
    return as_seen(value) if isinstance(value, Image.Image) else value
