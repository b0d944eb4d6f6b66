"""The column of originals of a dataset, of any kind, and its column of labels."""

from typing import Any, TypeAlias

import datasets

from stir_hf.data.images.columns import ImageColumn, image_column, image_columns
from stir_hf.data.sources.spec import DataSpec
from stir_hf.data.vectors import VectorColumn, only_column, vector_columns

LABELS = ("label", "labels", "cls", "fine_label")
"""Common names of a column of labels."""


Column: TypeAlias = ImageColumn | VectorColumn
"""Originals of one kind in the rows of a dataset."""


def label_column(features: Any) -> str | None:
    """The column of labels, if any: of class labels, or of integers under a common name."""
    classes = (name for name, f in features.items() if isinstance(f, datasets.ClassLabel))
    numbers = (name for name in LABELS if _is_whole(features.get(name)))
    return next(classes, None) or next(numbers, None)


def _is_whole(feature: Any) -> bool:
    return isinstance(feature, datasets.Value) and "int" in feature.dtype


def find_column(features: Any, spec: DataSpec) -> Column:
    """The requested column; by default the only column of images or, in a dataset without images,
    the only column of vectors.

    Raises:
        RequestError: no such column, or several columns and no request.
    """
    asked, vectors = spec.image_column, vector_columns(features, asked=spec.image_column)
    if asked in vectors:
        return vectors[asked]
    if asked is None and vectors and not image_columns(features):
        return only_column(vectors, spec.dataset)
    return image_column(features, spec)


def needed(features: Any, spec: DataSpec) -> datasets.Features:
    """The columns to read: the originals, undecoded, then labels; raises as `find_column`."""
    column, label = find_column(features, spec), label_column(features)
    labels = {} if label is None else {label: features[label]}
    return datasets.Features(**{column.column: column.feature, **labels})


def bare(rows: Any, spec: DataSpec) -> Any:
    """A dataset or a stream with only the columns to read, its originals undecoded."""
    columns = needed(rows.features, spec)
    originals = next(iter(columns))
    rows = rows.with_format(None).select_columns(list(columns))
    return rows.cast_column(originals, columns[originals])
