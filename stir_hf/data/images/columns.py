"""Where the images of a dataset are: a column, a field of one (`meta.image`), or a place in a list
(`images[0]`).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.compute as pc

from stir_hf.data.sources.spec import DataSpec
from stir_hf.errors import RequestError, closest

_CAST = "what holds image files becomes one by cast_column('{}', datasets.Image())"
_LISTS = tuple(
    kind for name in ("List", "LargeList", "Sequence") if (kind := getattr(datasets, name, None))
)

_BINARY = ("binary", "large_binary")
LABELS = ("label", "labels", "cls", "fine_label")
"""Usual names of a column of labels."""

Step = str | int
"""The name of a field, or a place in a list."""


@dataclass(frozen=True)
class ImageColumn:
    """Images of a dataset."""

    name: str
    """As it is asked for."""
    steps: tuple[Step, ...]
    """From a row to the image; the first is the column."""
    mode: str | None
    """Which the dataset declares, if any."""
    declared: bool = False
    """Whether the dataset says that they are images; otherwise they are bytes and paths of files,
    which may be of anything.
    """

    @property
    def column(self) -> str:
        """The column that holds them."""
        return str(self.steps[0])

    def cells(self, table: pa.Table) -> pa.ChunkedArray:
        """The undecoded images of all rows; of a list, at whatever place."""
        found = table.column(self.column)
        for step in self.steps[1:]:
            found = (
                pc.list_flatten(found) if isinstance(step, int) else pc.struct_field(found, step)
            )
        return found

    def cell(self, row: dict[str, Any]) -> Any:
        """The undecoded image of a row, `bytes` and `path`; None where there is none."""
        found: Any = row
        for step in self.steps:
            if found is None or (isinstance(step, int) and step >= len(found)):
                return None
            found = found[step]
        return found


def _is_image(feature: Any) -> bool:
    """Whether a feature is one of images: declared, or a file's bytes and path as other writers of
    parquet leave them.
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
    if isinstance(feature, _LISTS):
        return replace(feature, feature=undecoded(feature.feature))
    return feature


def label_column(features: Any) -> str | None:
    """The column of labels, if there is one: of classes, or of whole numbers under a usual name."""
    classes = (name for name, f in features.items() if isinstance(f, datasets.ClassLabel))
    numbers = (name for name in LABELS if _is_whole(features.get(name)))
    return next(classes, None) or next(numbers, None)


def _is_whole(feature: Any) -> bool:
    return isinstance(feature, datasets.Value) and "int" in feature.dtype


def needed(features: Any, spec: DataSpec) -> datasets.Features:
    """The columns that are read: the images that are asked for, undecoded, and the labels.

    Raises:
        RequestError: as `image_column`.
    """
    column, label = image_column(features, spec).column, label_column(features)
    kind = undecoded(features[column])
    if getattr(kind, "dtype", None) in _BINARY:
        kind = datasets.Image(decode=False)
    found = datasets.Features()
    found[column] = kind
    if label is not None:
        found[label] = features[label]
    return found


def image_column(features: Any, spec: DataSpec) -> ImageColumn:
    """The images that are asked for, or the only column of images: of those that are declared as
    images, and only where there are none of those that hold files.

    Raises:
        RequestError: none, or several of which none is asked for; no such column, or one without
            images.
    """
    found = [
        ImageColumn(
            _named(steps),
            steps,
            getattr(feature, "mode", None),
            declared=isinstance(feature, datasets.Image),
        )
        for name, inner in (features or {}).items()
        for steps, feature in _images(inner, (name,))
    ]
    found.sort(key=lambda column: len(column.steps), reverse=True)  # a column before a field
    if spec.image_column is not None:
        named = {column.name: column for column in found}
        return _asked(spec.image_column, named, features or {}, spec.dataset)
    return _only([c for c in found if c.declared] or found, spec.dataset)


def _only(found: list[ImageColumn], dataset: str) -> ImageColumn:
    """The one of these that is a column."""
    top = [column for column in found if len(column.steps) == 1]
    if len(top) == 1:
        return top[0]
    names = ", ".join(column.name for column in top or found)
    if top:
        told = f"several image columns; give --image-column: {names}"
    elif found:
        told = f"no column of images, but images inside others; give --image-column: {names}"
    else:
        told = f"no column of images; {_CAST.format('COLUMN')}"
    raise RequestError(f"dataset {dataset} has {told}")


def _asked(
    name: str, named: dict[str, ImageColumn], features: dict[str, Any], dataset: str
) -> ImageColumn:
    if name in named:
        return named[name]
    if getattr(features.get(name), "dtype", None) in _BINARY:  # files, since they are asked for
        return ImageColumn(name, (name,), None)
    if (first := named.get(re.sub(r"\[\d+\]", "[0]", name))) is not None:
        places = iter(int(place) for place in re.findall(r"\[(\d+)\]", name))
        steps = tuple(next(places) if isinstance(s, int) else s for s in first.steps)
        return ImageColumn(name, steps, first.mode)
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
    """The images in a feature: the way to each, and itself."""
    if _is_image(feature):
        yield steps, feature
    elif isinstance(feature, dict):
        for name, inner in feature.items():
            yield from _images(inner, (*steps, name))
    elif isinstance(feature, _LISTS):
        yield from _images(feature.feature, (*steps, 0))


def _named(steps: tuple[Step, ...]) -> str:
    first, *others = steps
    return str(first) + "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in others)
