"""A split of a `datasets` dataset as images with stable indices."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import datasets
import numpy as np
from PIL import Image

from stir_hf.data.spec import DataSpec
from stir_hf.data.splits import Data, check_enough, open_split
from stir_hf.errors import RequestError, closest, one_line
from stir_hf.inputs.images import eight_bit

PERMUTATION_SEED = 0
"""Which images `num_samples` takes never depends on the run's seed."""


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
            raise RequestError(
                f"image {index} of {self.identity['dataset']} cannot be read: {one_line(error)}"
            ) from error
        return index, image, row[self.label_column] if self.label_column else None


def open_images(data: Data, spec: DataSpec) -> Images:
    """Find the images of `data` and read each of them once, so that a corrupt one is known before any work.

    Args:
        data: Hub id, local folder, or a dataset in memory.
        spec: which of its images; `spec.dataset` only describes `data` when that is in memory.

    Raises:
        RequestError: no such dataset, split or column; too few images; a corrupt image.
    """
    split, spec, commit = open_split(data, spec)
    column = _image_column(split.features, spec)
    rows, indices = _choose_rows(split, spec)
    rows = rows.with_format(None).cast_column(column, datasets.Image())
    label = next(
        (name for name, f in rows.features.items() if isinstance(f, datasets.ClassLabel)), None
    )
    identity = {
        "dataset": spec.dataset,
        "config_name": spec.config_name,
        "split": spec.split,
        "revision": commit,
        "image_column": column,
        "num_samples": len(indices),
    }
    images = Images(rows, indices, column, label, identity)
    identity["fingerprint"] = _check_all(images)
    return images


def _image_column(features: Any, spec: DataSpec) -> str:
    names = [name for name, f in (features or {}).items() if isinstance(f, datasets.Image)]
    if spec.image_column is not None:
        if spec.image_column not in (features or {}):
            raise RequestError(
                f"dataset {spec.dataset} has no column {spec.image_column!r}; {closest(spec.image_column, features or {})}"
            )
        if spec.image_column not in names:
            raise RequestError(
                f"column {spec.image_column!r} of {spec.dataset} holds no images; {closest('image', names)}"
            )
        return spec.image_column
    if len(names) != 1:
        found = (
            f"several image columns; give --image-column: {', '.join(names)}"
            if names
            else "no column of images"
        )
        raise RequestError(f"dataset {spec.dataset} has {found}")
    return str(names[0])


def _choose_rows(
    split: datasets.Dataset, spec: DataSpec
) -> tuple[datasets.Dataset, tuple[int, ...]]:
    wanted = spec.num_samples
    check_enough(len(split), spec)
    if wanted is None or wanted == len(split):
        return split, tuple(range(len(split)))
    chosen = np.sort(np.random.default_rng(PERMUTATION_SEED).permutation(len(split))[:wanted])
    return split.select(chosen), tuple(int(i) for i in chosen)


def _check_all(images: Images) -> str:
    digest = hashlib.sha256()
    for index, image, _ in images:
        digest.update(f"{index} {image.mode} {image.size}".encode())
        digest.update(image.tobytes())
    return digest.hexdigest()[:16]
