"""Images of a dataset: a column, a field (`meta.image`) or an item of a list (`images[0]`)."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from stir_hf.data.identity import array_hash
from stir_hf.data.images.cells import check_files, decoded_and_hashed, hash_of_file, size_of
from stir_hf.data.sources.spec import DataSpec
from stir_hf.data.vectors import LISTS
from stir_hf.errors import RequestError, closest
from stir_hf.inputs.images import in_mode

_CAST = "what holds image files becomes one by cast_column('{}', datasets.Image())"
_BINARY = ("binary", "large_binary")
Step = str | int
"""The name of a field, or a place in a list."""


@dataclass(frozen=True)
class ImageColumn:
    """Images of a dataset."""

    kind: ClassVar[str] = "image"
    name: str
    """The name by which a request gives them."""
    steps: tuple[Step, ...]
    """The steps from a row to the image; the first is the column."""
    feature: Any
    """The feature of the column, its images undecoded."""
    mode: str | None
    """The mode that the dataset declares, if any."""
    declared: bool = False
    """True if the dataset says that they are images; otherwise they are bytes and paths of files,
    which may be of any kind.
    """

    @property
    def column(self) -> str:
        """The column that holds them."""
        return str(self.steps[0])

    def cells(self, table: pa.Table) -> pa.ChunkedArray:
        """The undecoded images of all rows, including all items of lists."""
        found = table.column(self.column)
        for step in self.steps[1:]:
            found = (
                pc.list_flatten(found) if isinstance(step, int) else pc.struct_field(found, step)
            )
        return found

    def cell(self, row: dict[str, Any]) -> Any:
        """The undecoded image of a row, `bytes` and `path`; None if there is none."""
        found: Any = row
        for step in self.steps:
            if found is None or (isinstance(step, int) and step >= len(found)):
                return None
            found = found[step]
        return found

    def read(self, row: dict[str, Any]) -> tuple[Image.Image, str | None]:
        """Decode the image of a row, and hash its file; raises any error of a decoder."""
        image, file_hash = decoded_and_hashed(self.cell(row))
        return in_mode(image, self.mode), file_hash

    def shape(self, row: dict[str, Any]) -> tuple[int, int] | None:
        """(h, w) from the header; None if the image is not here. Raises any error of a decoder."""
        cell = self.cell(row)
        if cell is not None and cell["bytes"] is None and "://" in (cell["path"] or ""):
            return None
        return size_of(cell)

    def file_hash(self, row: dict[str, Any]) -> str | None:
        """The hash of the file of a row, without decoding it."""
        return hash_of_file(self.cell(row))

    def is_nameless(self, row: dict[str, Any]) -> bool:
        """True for bytes without the name of a file, as `datasets` writes what it encoded."""
        cell = self.cell(row)
        return cell is not None and not cell["path"]

    def check_files(self, table: pa.Table, roots: Sequence[str]) -> None:
        """Raise RequestError if an image names a file outside of `roots`."""
        check_files(self.cells(table), roots)

    def record(self, original: Image.Image) -> list[Any]:
        """The mode and the hash of the pixels of an image."""
        return [original.mode, array_hash(np.asarray(original))]


def _is_image(feature: Any) -> bool:
    """Return True for a feature of images: declared, or the bytes and path of files, as other
    writers of parquet leave them.
    """
    if not isinstance(feature, dict) or feature.keys() != {"bytes", "path"}:
        return isinstance(feature, datasets.Image)
    held, path = (getattr(feature[name], "dtype", None) for name in ("bytes", "path"))
    return held in _BINARY and path in ("string", "large_string", "null")


def undecoded(feature: Any) -> Any:
    """A feature with all its images left as they are stored."""
    if _is_image(feature):
        return datasets.Image(mode=getattr(feature, "mode", None), decode=False)
    if isinstance(feature, dict):
        return {name: undecoded(inner) for name, inner in feature.items()}
    if isinstance(feature, LISTS):
        return replace(feature, feature=undecoded(feature.feature))
    return feature


def image_columns(features: Any) -> list[ImageColumn]:
    """All columns and fields of images of a dataset, the most deeply nested first."""
    found = [
        ImageColumn(
            _named(steps),
            steps,
            undecoded(features[name]),
            getattr(feature, "mode", None),
            declared=isinstance(feature, datasets.Image),
        )
        for name, inner in (features or {}).items()
        for steps, feature in _images(inner, (name,))
    ]
    found.sort(key=lambda column: len(column.steps), reverse=True)  # a column before a field
    return found


def image_column(features: Any, spec: DataSpec) -> ImageColumn:
    """The requested images, or the only column of images: the one declared as images or, if none
    is declared, the one that holds files.

    Raises:
        RequestError: no images; several columns and no request; no such column, or one without
            images.
    """
    found = image_columns(features)
    if spec.image_column is not None:
        named = {column.name: column for column in found}
        return _asked(spec.image_column, named, features or {}, spec.dataset)
    return _only([c for c in found if c.declared] or found, spec.dataset)


def _only(found: list[ImageColumn], dataset: str) -> ImageColumn:
    """The only top-level column among `found`."""
    top = [column for column in found if len(column.steps) == 1]
    if len(top) == 1:
        return top[0]
    names = ", ".join(column.name for column in top or found)
    if not found:
        raise RequestError(
            f"dataset {dataset} has no column of images", f"; {_CAST.format('COLUMN')}"
        )
    told = "several image columns" if top else "no column of images, but images inside others"
    raise RequestError(f"dataset {dataset} has {told}: {names}", "; choose one with --image-column")


def _asked(
    name: str, named: dict[str, ImageColumn], features: dict[str, Any], dataset: str
) -> ImageColumn:
    if name in named:
        return named[name]
    if getattr(features.get(name), "dtype", None) in _BINARY:  # files, as the request says
        return ImageColumn(name, (name,), datasets.Image(decode=False), None)
    if (first := named.get(re.sub(r"\[\d+\]", "[0]", name))) is not None:
        places = iter(int(place) for place in re.findall(r"\[(\d+)\]", name))
        steps = tuple(next(places) if isinstance(s, int) else s for s in first.steps)
        return ImageColumn(name, steps, first.feature, first.mode)
    inside = [other for other in named if re.match(rf"{re.escape(name)}[.\[]", other)]
    if name not in features and not inside:
        hint = closest(name, [*features, *named])
        raise RequestError(f"dataset {dataset} has no column {name!r}; {hint}")
    if inside:
        hint = f"those inside it are {', '.join(inside)}"
    else:
        hint = closest("image", named) or _CAST.format(name)
    raise RequestError(f"column {name!r} of {dataset} holds no images; {hint}")


def _images(feature: Any, steps: tuple[Step, ...]) -> Iterator[tuple[tuple[Step, ...], Any]]:
    """The images in a feature: the steps to each, and its feature."""
    if _is_image(feature):
        yield steps, feature
    elif isinstance(feature, dict):
        for name, inner in feature.items():
            yield from _images(inner, (*steps, name))
    elif isinstance(feature, LISTS):
        yield from _images(feature.feature, (*steps, 0))


def _named(steps: tuple[Step, ...]) -> str:
    first, *others = steps
    return str(first) + "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in others)
