"""A split of a `datasets` dataset as images with stable indices."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import datasets
import numpy as np
from PIL import Image

from stir_hf import hub
from stir_hf.config import DataSpec
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
    split, commit = (_load(data, spec)) if isinstance(data, str) else (data, None)
    if isinstance(split, datasets.DatasetDict | datasets.IterableDatasetDict):
        split, spec = _choose_split(split, spec)
    column = _image_column(split.features, spec)
    rows, indices = _choose_rows(split, spec)
    rows = rows.cast_column(column, datasets.Image())
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
        if (path / "state.json").exists() or (path / "dataset_dict.json").exists():
            return datasets.load_from_disk(str(path)), None
        if not any(p.is_file() and not p.name.startswith(".") for p in path.rglob("*")):
            raise RequestError(f"dataset folder {name} is empty; expected images, parquet or arrow files")
        name = str(path)
    elif hub.is_local(name):
        raise hub.no_such_folder(name, "dataset folder")
    else:
        commit = hub.resolve(name, spec.revision, "dataset")
    try:
        with hub.speaking_of(spec.dataset, spec.revision, "dataset"):
            return datasets.load_dataset(name, spec.config_name, revision=commit), commit
    except ValueError as error:
        if isinstance(error, RequestError):
            raise
        raise RequestError(f"dataset {spec.dataset} cannot be loaded: {one_line(error)}") from error
    except (OSError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise RequestError(f"dataset {spec.dataset} cannot be loaded: {one_line(error)}") from error


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


def _choose_rows(split: Any, spec: DataSpec) -> tuple[datasets.Dataset, tuple[int, ...]]:
    wanted = spec.num_samples
    if isinstance(split, datasets.IterableDataset):
        taken = list(islice(split, wanted))
        _check_enough(len(taken), spec)
        rows = datasets.Dataset.from_list(taken, features=split.features)
        return rows, tuple(range(len(rows)))
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
