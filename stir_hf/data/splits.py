"""One split of a dataset: from the Hub, a folder, or memory."""

import json
import re
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import datasets
import pyarrow as pa
from PIL import Image

from stir_hf import hub
from stir_hf.data.spec import DataSpec
from stir_hf.errors import RequestError, closest, one_line
from stir_hf.hub import is_local

PREFERRED_SPLITS = ("test", "validation")

Data: TypeAlias = "str | datasets.Dataset | datasets.IterableDataset"


def open_split(data: Data, spec: DataSpec) -> tuple[datasets.Dataset, DataSpec, str | None]:
    """Find the split that is asked for; of a stream, its first images.

    Returns:
        The split, `spec` with the split's name filled in, and the commit of a dataset on the Hub.

    Raises:
        RequestError: no such dataset, configuration, revision or split.
    """
    split, spec, commit = (
        _load(data, spec) if isinstance(data, str) else (_in_memory(data, spec), spec, None)
    )
    if isinstance(split, datasets.DatasetDict | datasets.IterableDatasetDict):
        spec = _named(spec, split)
        split = split[spec.split]
    elif spec.split is not None and spec.split != str(split.split):
        raise RequestError(
            f"dataset {spec.dataset} has no split {spec.split!r}; it is one split ({split.split or 'unnamed'})"
        )
    return (
        (_taken(split, spec) if isinstance(split, datasets.IterableDataset) else split),
        spec,
        commit,
    )


def _load(name: str, spec: DataSpec) -> tuple[Any, DataSpec, str | None]:
    path = Path(name).expanduser()
    if path.is_file():
        raise RequestError(
            f"dataset {name} is a file; expected a Hub id or a folder of images, parquet or arrow files"
        )
    if not path.is_dir() and is_local(name):
        raise hub.no_such_folder(name, "dataset folder")
    try:
        with hub.speaking_of(spec.dataset, spec.revision, "dataset"):
            return (_folder(path, spec), spec, None) if path.is_dir() else _from_hub(name, spec)
    except RequestError:
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
        raise RequestError(f"dataset {spec.dataset} cannot be loaded: {one_line(error)}") from error


def _folder(path: Path, spec: DataSpec) -> Any:
    if spec.revision:
        raise RequestError(
            f"dataset {spec.dataset} is a folder and has no revision {spec.revision!r}"
        )
    if (path / "state.json").exists() or (path / "dataset_dict.json").exists():
        return _in_memory(datasets.load_from_disk(str(path)), spec)
    if not any(p.is_file() and not p.name.startswith(".") for p in path.rglob("*")):
        raise RequestError(
            f"dataset folder {spec.dataset} is empty; expected images, parquet or arrow files"
        )
    return datasets.load_dataset(str(path), spec.config_name)


def _from_hub(name: str, spec: DataSpec) -> tuple[Any, DataSpec, str]:
    """Fetch the files of one split alone; without an answer of the Hub, take what the cache has of that commit."""
    found = hub.resolve(name, spec.revision, "dataset")
    if found.files is None:
        there = _cached(name, found.commit, spec.config_name)
        spec = _named(spec, there)
        shards = [datasets.Dataset.from_file(str(p)) for p in there[str(spec.split)]]
        return datasets.concatenate_datasets(shards, split=spec.split), spec, found.commit
    builder = datasets.load_dataset_builder(name, spec.config_name, revision=found.commit)
    files = builder.config.data_files
    if not files:
        return (
            datasets.load_dataset(name, spec.config_name, revision=found.commit),
            spec,
            found.commit,
        )
    spec = _named(spec, files)
    only = {spec.split: list(files[spec.split])}
    split = datasets.load_dataset(
        name, spec.config_name, data_files=only, split=spec.split, revision=found.commit
    )
    return split, spec, found.commit


def _cached(name: str, commit: str, config_name: str | None) -> dict[str, list[Path]]:
    """The splits of a dataset that were prepared at this commit, with their files."""
    namespace, _, base = name.rpartition("/")
    folder = "___".join(
        part for part in (namespace, datasets.naming.camelcase_to_snakecase(base)) if part
    )
    root = Path(datasets.config.HF_DATASETS_CACHE) / folder
    found: dict[str, list[Path]] = {}
    for info in root.glob(f"*/*/{commit}/dataset_info.json"):
        about = json.loads(info.read_text("utf-8"))
        if config_name is not None and about["config_name"] != config_name:
            continue
        for split in about["splits"] or {}:
            shard = re.compile(rf"-{re.escape(split)}(-\d+-of-\d+)?\.arrow")
            found[split] = sorted(p for p in info.parent.glob("*.arrow") if shard.search(p.name))
    if not found:
        raise RequestError(
            f"the Hub cannot be reached for dataset {name!r}, and it is not in the cache"
        )
    return found


def _named(spec: DataSpec, splits: Any) -> DataSpec:
    """`spec` with the name of the split that is meant."""
    names = [str(name) for name in splits]
    name = (
        spec.split
        or next((s for s in PREFERRED_SPLITS if s in names), None)
        or (names[0] if len(names) == 1 else None)
    )
    if name is None:
        raise RequestError(
            f"dataset {spec.dataset} has several splits; give --split: {', '.join(names)}"
        )
    if name not in names:
        raise RequestError(f"dataset {spec.dataset} has no split {name!r}; {closest(name, names)}")
    return DataSpec(**{**vars(spec), "split": name})


def _in_memory(data: Any, spec: DataSpec) -> Any:
    """A dataset that is what it is: no configuration or revision can be chosen any more."""
    for option, value in (("config_name", spec.config_name), ("revision", spec.revision)):
        if value is not None:
            raise RequestError(
                f"{option} {value!r} cannot be chosen in {spec.dataset}, which is loaded already; leave it out"
            )
    return data


def _taken(stream: datasets.IterableDataset, spec: DataSpec) -> datasets.Dataset:
    """The first images of a stream, undecoded where they are files: nothing is compressed a second time."""
    columns = stream.features
    if columns is not None:
        for name in [name for name, f in columns.items() if isinstance(f, datasets.Image)]:
            stream = stream.cast_column(name, datasets.Image(decode=False))
        columns = stream.features
    taken = [
        {name: _bare(value) for name, value in row.items()}
        for row in islice(stream, spec.num_samples)
    ]
    check_enough(len(taken), spec)
    return datasets.Dataset.from_list(taken, features=columns, split=stream.split)


def _bare(value: Any) -> Any:
    """An image without the format of its file, so that it is kept as PNG."""
    return value.copy() if isinstance(value, Image.Image) else value


def check_enough(there: int, spec: DataSpec) -> None:
    """Raise RequestError when there are fewer images than are asked for."""
    if there < (spec.num_samples or 1):
        asked = spec.num_samples or "at least one"
        raise RequestError(
            f"{asked} images asked for, but {spec.dataset} split {spec.split} has {there}"
        )
