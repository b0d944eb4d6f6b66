"""A split of a `datasets` dataset as images with stable indices."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import datasets
import numpy as np
import pyarrow as pa
from PIL import Image

from stir_hf import hub
from stir_hf.config import DataSpec, is_local
from stir_hf.errors import RequestError, closest, one_line

PERMUTATION_SEED = 0
"""Which images `num_samples` takes never depends on the run's seed."""
PREFERRED_SPLITS = ("test", "validation")

Data: TypeAlias = "str | datasets.Dataset | datasets.IterableDataset"


@dataclass(frozen=True)
class Images:
    """The images that were asked for. `indices` are rows of the split (of a stream: positions in it), ascending."""

    rows: datasets.Dataset
    indices: tuple[int, ...]
    column: str
    label_column: str | None
    identity: dict[str, Any]
    """Which images these are: the dataset, its commit, split and column, and a hash of the chosen images."""

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[tuple[int, Image.Image, int | None]]:
        """(index, image, label) of each image, in the order of the indices."""
        for position in range(len(self)):
            yield self.at(position)

    def at(self, position: int) -> tuple[int, Image.Image, int | None]:
        """The image at a position in `indices`, as (index, image, label).

        Raises:
            RequestError: a file that is no readable image; its index is named.
        """
        index = self.indices[position]
        try:
            row = self.rows[position]
            image = row[self.column]
            if image is None:
                raise ValueError("there is none")
            image.load()
            image = eight_bit(image)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise RequestError(f"image {index} of {self.identity['dataset']} cannot be read: {one_line(error)}") from error
        return index, image, row[self.label_column] if self.label_column else None


def open_images(data: Data, spec: DataSpec) -> Images:
    """Find the images of `data` and read each of them once, so that a corrupt one is known before any work.

    Args:
        data: Hub id, local folder, or a dataset in memory.
        spec: which of its images; `spec.dataset` only describes `data` when that is in memory.

    Raises:
        RequestError: no such dataset, split or column; too few images; a corrupt image.
    """
    split, commit = _load(data, spec) if isinstance(data, str) else (_in_memory(data, spec), None)
    if isinstance(split, datasets.DatasetDict | datasets.IterableDatasetDict):
        split, spec = _choose_split(split, spec)
    elif spec.split is not None and spec.split != str(split.split):
        raise RequestError(
            f"dataset {spec.dataset} has no split {spec.split!r}; it is one split ({split.split or 'unnamed'})"
        )
    if isinstance(split, datasets.IterableDataset):
        split = _taken(split, spec)
    column = _image_column(split.features, spec)
    rows, indices = _choose_rows(split, spec)
    rows = rows.with_format(None).cast_column(column, datasets.Image())
    label = next((name for name, f in rows.features.items() if isinstance(f, datasets.ClassLabel)), None)
    identity = {
        "dataset": spec.dataset, "config_name": spec.config_name, "split": spec.split, "revision": commit,
        "image_column": column, "num_samples": len(indices),
    }  # fmt: skip
    images = Images(rows, indices, column, label, identity)
    identity["fingerprint"] = _check_all(images)
    return images


def _load(name: str, spec: DataSpec) -> tuple[Any, str | None]:
    path, commit = Path(name).expanduser(), None
    if path.is_file():
        raise RequestError(f"dataset {name} is a file; expected a Hub id or a folder of images, parquet or arrow files")
    if path.is_dir():
        if spec.revision:
            raise RequestError(f"dataset {name} is a folder and has no revision {spec.revision!r}")
        if not any(p.is_file() and not p.name.startswith(".") for p in path.rglob("*")):
            raise RequestError(f"dataset folder {name} is empty; expected images, parquet or arrow files")
        name = str(path)
    elif is_local(name):
        raise hub.no_such_folder(name, "dataset folder")
    else:
        commit = hub.resolve(name, spec.revision, "dataset")
    try:
        if (path / "state.json").exists() or (path / "dataset_dict.json").exists():
            return _in_memory(datasets.load_from_disk(str(path)), spec), None
        with hub.speaking_of(spec.dataset, spec.revision, "dataset"):
            return datasets.load_dataset(name, spec.config_name, revision=commit), commit
    except ValueError as error:
        if isinstance(error, RequestError):
            raise
        raise RequestError(f"dataset {spec.dataset} cannot be loaded: {one_line(error)}") from error
    except (OSError, RuntimeError, KeyError, TypeError, datasets.exceptions.DatasetsError, pa.ArrowException) as error:
        raise RequestError(f"dataset {spec.dataset} cannot be loaded: {one_line(error)}") from error


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
    taken = [{name: _bare(value) for name, value in row.items()} for row in islice(stream, spec.num_samples)]
    _check_enough(len(taken), spec)
    return datasets.Dataset.from_list(taken, features=columns, split=stream.split)


def _bare(value: Any) -> Any:
    """An image without the format of its file, so that it is kept as PNG."""
    return value.copy() if isinstance(value, Image.Image) else value


def eight_bit(image: Image.Image) -> Image.Image:
    """An image with 8 bits per channel: 16-bit grey is scaled, which `convert` would cut off at 255.

    Raises:
        ValueError: 32-bit integers or floats, whose range is not known.
    """
    if image.mode.startswith("I;16"):
        values = np.asarray(image, np.uint16).astype(np.float64)
        return Image.fromarray(np.rint(values / 257).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError(f"mode {image.mode!r} has no known range; expected 8 or 16 bits per channel")
    return image


def _choose_split(splits: Any, spec: DataSpec) -> tuple[Any, DataSpec]:
    name = spec.split
    if name is None:
        name = next((s for s in PREFERRED_SPLITS if s in splits), None) or (
            next(iter(splits)) if len(splits) == 1 else None
        )
    if name is None:
        raise RequestError(f"dataset {spec.dataset} has several splits; give --split: {', '.join(splits)}")
    if name not in splits:
        raise RequestError(f"dataset {spec.dataset} has no split {name!r}; {closest(name, map(str, splits))}")
    return splits[name], DataSpec(**{**vars(spec), "split": name})


def _image_column(features: Any, spec: DataSpec) -> str:
    names = [name for name, f in (features or {}).items() if isinstance(f, datasets.Image)]
    if spec.image_column is not None:
        if spec.image_column not in (features or {}):
            raise RequestError(
                f"dataset {spec.dataset} has no column {spec.image_column!r}; {closest(spec.image_column, features or {})}"
            )
        if spec.image_column not in names:
            raise RequestError(f"column {spec.image_column!r} of {spec.dataset} holds no images; {closest('image', names)}")
        return spec.image_column
    if len(names) != 1:
        found = f"several image columns; give --image-column: {', '.join(names)}" if names else "no column of images"
        raise RequestError(f"dataset {spec.dataset} has {found}")
    return str(names[0])


def _choose_rows(split: datasets.Dataset, spec: DataSpec) -> tuple[datasets.Dataset, tuple[int, ...]]:
    wanted = spec.num_samples
    _check_enough(len(split), spec)
    if wanted is None or wanted == len(split):
        return split, tuple(range(len(split)))
    chosen = np.sort(np.random.default_rng(PERMUTATION_SEED).permutation(len(split))[:wanted])
    return split.select(chosen), tuple(int(i) for i in chosen)


def _check_enough(there: int, spec: DataSpec) -> None:
    if there < (spec.num_samples or 1):
        asked = spec.num_samples or "at least one"
        raise RequestError(f"{asked} images asked for, but {spec.dataset} split {spec.split} has {there}")


def _check_all(images: Images) -> str:
    digest = hashlib.sha256()
    for index, image, _ in images:
        digest.update(f"{index} {image.mode} {image.size}".encode())
        digest.update(image.tobytes())
    return digest.hexdigest()[:16]
