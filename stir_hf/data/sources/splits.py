"""One split of a dataset: from the Hub, a folder, or memory."""

from dataclasses import dataclass, replace
from glob import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import datasets
import numpy as np
import pyarrow as pa
from datasets.data_files import DataFilesList
from numpy.typing import NDArray

from stir_hf import hub
from stir_hf.data.sources.contents import cache_of, saved_at
from stir_hf.data.sources.layout import IMAGES, Layout, all_shards, layout_of, layout_of_repo
from stir_hf.data.sources.spec import DataSpec, check_stream_options
from stir_hf.data.sources.streams import kept, taken
from stir_hf.data.sources.tree import Tree, is_hidden, tree_of, without_linked_folders
from stir_hf.errors import RequestError, RunError, closest, is_out_of_memory, one_line
from stir_hf.hub import is_local, is_there
from stir_hf.runtime import Watcher

PREFERRED_SPLITS = ("test", "validation")

STREAMS = (datasets.IterableDataset, datasets.IterableDatasetDict)

Data: TypeAlias = (
    "str | Path | datasets.Dataset | datasets.IterableDataset | datasets.DatasetDict"
    " | datasets.IterableDatasetDict | list[Any] | NDArray[np.uint8] | NDArray[np.floating[Any]]"
)


@dataclass(frozen=True)
class Split:
    """One split of a dataset, or the first rows of a stream."""

    rows: datasets.Dataset
    spec: DataSpec
    """The request, with the name of the split filled in."""
    commit: str | None = None
    """The commit of a dataset on the Hub; None otherwise."""
    layout: Layout | None = None
    """The layout of a folder or repo of files; None otherwise."""
    root: Path = Path()
    """The folder of the files, for a repo its folder in the Hub's cache."""
    stream: bool = False
    """True if the rows are the first ones of a stream."""

    @property
    def roots(self) -> list[str] | None:
        """The folders below which rows may name files; None for any folder, if the data is the
        user's own or was checked before it was cached.
        """
        if self.commit is None or self.stream:
            return None
        folders = (self.root, Path(datasets.config.EXTRACTED_DATASETS_PATH).expanduser())
        return [str(form) for folder in folders for form in (folder.absolute(), folder.resolve())]

    def notes(self, column: str, *, asked: bool) -> tuple[str, ...]:
        """Notes of a result on files that are not in the split; arguments as in `files_note`."""
        if self.layout is None:
            return ()
        found = self.layout.files_note(self.root, self.rows, column, asked=asked)
        return tuple(note for note in (found, self.layout.remark) if note)


def open_split(data: Data, spec: DataSpec, progress: bool | Watcher = False) -> Split:
    """Find the requested split of a Hub id, a local folder, or a dataset in memory; for a stream,
    read its first rows. `progress` is as in `open_samples`.

    Raises:
        RequestError: no such dataset, configuration, revision or split.
    """
    if isinstance(data, str | Path):
        return _load(data, spec, progress)
    if spec.streaming:
        raise RequestError(
            f"streaming: {spec.dataset} is loaded already; give its Hub id or folder, or a stream"
        )
    check_stream_options(spec, stream=isinstance(data, STREAMS))
    return _loaded(data, spec, progress)


def _loaded(data: Any, spec: DataSpec, progress: bool | Watcher) -> Split:
    """The requested split of a dataset in memory, or of a saved one, for which no configuration or
    revision can be chosen.
    """
    for name, value in (("config_name", spec.config_name), ("revision", spec.revision)):
        if value is not None:
            raise RequestError(
                f"{name} {value!r} cannot be chosen in {spec.dataset}, which is loaded already;"
                " leave it out"
            )
    if isinstance(data, datasets.DatasetDict | datasets.IterableDatasetDict):
        spec = named(spec, data)
        data = data[str(spec.split)]
    elif spec.split is not None and spec.split != str(data.split):
        raise RequestError(
            f"dataset {spec.dataset} has no split {spec.split!r}; it is one split"
            f" ({data.split or 'unnamed'})"
        )
    if spec.streaming and isinstance(data, datasets.Dataset):
        data = data.to_iterable_dataset()
    if isinstance(data, datasets.Dataset):
        return Split(data, spec)
    return Split(taken(data, spec, progress), spec, stream=True)


def _load(data: str | Path, spec: DataSpec, progress: bool | Watcher) -> Split:
    check_stream_options(spec, stream=spec.streaming)
    name, there = str(data), is_there(str(data))
    if there and Path(name).expanduser().is_file():
        raise RequestError(
            f"dataset {name} is a file; expected a Hub id or a folder of images, parquet or arrow"
            " files"
        )
    if not there and (isinstance(data, Path) or is_local(name)):
        raise hub.no_such_folder(name, "dataset folder")
    try:
        with hub.hub_errors(spec.dataset, spec.revision, "dataset"):
            return (_folder if there else _from_hub)(data, spec, progress)
    except (RequestError, RunError):
        raise
    except (
        ValueError,
        OSError,
        RuntimeError,
        KeyError,
        TypeError,
        datasets.exceptions.DatasetsError,
        pa.ArrowException,
    ) as error:
        if is_out_of_memory(error):
            raise RunError(f"out of memory while dataset {spec.dataset} was loaded") from error
        general = isinstance(error, datasets.exceptions.DatasetGenerationError)
        told = one_line(error.__cause__ if general and error.__cause__ else error)
        raise RequestError(f"dataset {spec.dataset} cannot be loaded: {told}") from error


def _folder(name: str | Path, spec: DataSpec, progress: bool | Watcher) -> Split:
    path = Path(name).expanduser()
    if spec.revision:
        raise RequestError(
            f"dataset {spec.dataset} is a folder and has no revision {spec.revision!r}"
        )
    if (path / "state.json").exists() or (path / "dataset_dict.json").exists():
        return _loaded(saved_at(path), spec, progress)
    tree = tree_of(path)
    if all(map(is_hidden, tree.files)):
        told = f": {tree.note}" if tree.note else "; expected images, parquet or arrow files"
        state = "cannot be read" if tree.closed else "is empty"
        raise RequestError(f"dataset folder {spec.dataset} {state}{told}")
    if any(mark in str(path.resolve()) for mark in "[]*?"):
        raise RequestError(
            f"dataset folder {spec.dataset}: `datasets` takes [, ], * and ? in its path for a"
            " pattern; rename it"
        )
    return _of_files(path, tree, spec, progress)


def _of_files(path: Path, tree: Tree, spec: DataSpec, progress: bool | Watcher) -> Split:
    """A split of a folder of files; image files get the labels of all splits."""
    root = path.resolve()
    layout = _local_layout(path, tree, spec)
    spec = named(spec, layout.files)
    name = str(spec.split)
    names = layout.files if layout.reader == IMAGES else {name: layout.files[name]}
    cache = cache_of(root, names, layout.images, streamed=spec.streaming)
    files = {
        split: DataFilesList([f"{root}/{file}" for file in found], [])
        for split, found in names.items()
    }
    rows = _read(layout, spec, files, cache)
    if spec.streaming:
        return Split(taken(rows, spec, progress), spec, stream=True)
    layout.check_count(name, len(rows), spec.dataset)
    return Split(rows, spec, layout=layout, root=path)


def _local_layout(path: Path, tree: Tree, spec: DataSpec) -> Layout:
    """The layout of a local folder. `datasets` ignores linked folders, so it gets a folder without
    such links.
    """
    root = path.resolve()
    with TemporaryDirectory(prefix="stir-hf-") as cache, without_linked_folders(root, tree) as real:
        roots = root, path.absolute()
        layout = layout_of(real, spec.config_name, spec.dataset, Path(cache), roots)
    return replace(layout, remark=tree.note)


def _from_hub(name: str | Path, spec: DataSpec, progress: bool | Watcher) -> Split:
    """Fetch only the files of one split into the Hub's cache and read them there; this also works
    offline once they are cached.
    """
    found = hub.resolve(str(name), spec.revision, "dataset")
    with hub.only_cached(found):
        layout = layout_of_repo(found, spec.config_name)
        spec = named(spec, layout.files)
    names = layout.files[str(spec.split)]

    def read(root: str) -> Any:
        return _read(layout, spec, {str(spec.split): [escape(f"{root}/{n}") for n in names]})

    if spec.streaming:
        rows = kept(lambda: read(found.url), spec, found.commit, found.url, progress)
        return Split(rows, spec, found.commit, stream=True)
    if not found.listed:
        names = all_shards(names)
        told = f"split {spec.split!r} is of the files in the cache, and {hub.silence()} for others"
        layout = replace(layout, remark=told)
    folder = hub.fetch(found, names)
    return Split(read(str(folder)), spec, found.commit, layout, folder)


def _read(layout: Layout, spec: DataSpec, files: dict[str, Any], cache: Path | None = None) -> Any:
    """Read one split of files, with the given cache folder or the cache of `datasets`."""
    return datasets.load_dataset(  # type: ignore[call-overload]  # a stream or not
        layout.reader,
        data_files=files,
        split=spec.split,
        features=layout.features,
        streaming=spec.streaming,
        cache_dir=None if cache is None else str(cache),
        **layout.options,
    )


def named(spec: DataSpec, splits: Any) -> DataSpec:
    """Return `spec` with the name of the requested or default split.

    Raises:
        RequestError: no such split, or several and none is requested.
    """
    names = [str(name) for name in splits]
    name = (
        spec.split
        or next((s for s in PREFERRED_SPLITS if s in names), None)
        or (names[0] if len(names) == 1 else None)
    )
    if not names:
        raise RequestError(f"dataset {spec.dataset} has no splits")
    if name is None:
        raise RequestError(
            f"dataset {spec.dataset} has several splits: {', '.join(names)}",
            "; choose one with --split",
        )
    if name not in names:
        raise RequestError(f"dataset {spec.dataset} has no split {name!r}; {closest(name, names)}")
    return replace(spec, split=name)
