"""The column of originals of a dataset, of any kind, and its column of labels."""

from typing import Any, ClassVar, Protocol

import datasets
import pyarrow as pa

from stir_hf.data.images.columns import image_column, image_columns
from stir_hf.data.sources.spec import DataSpec
from stir_hf.data.vectors import vector_column, vector_columns

LABELS = ("label", "labels", "cls", "fine_label")
"""Common names of a column of labels."""


class Column(Protocol):
    """Originals of one kind in the rows of a dataset."""

    kind: ClassVar[str]
    """Name of the kind of input."""

    @property
    def name(self) -> str:
        """The name by which a request gives it."""

    @property
    def column(self) -> str:
        """The column of the dataset that holds it."""

    @property
    def feature(self) -> Any:
        """The feature with which the column is read, without decoding its cells."""

    def read(self, row: dict[str, Any]) -> tuple[Any, str | None]:
        """Decode the original of a row, and hash its encoded bytes (16 hexadecimal digits) if they
        are on this machine; raises any error of a decoder.
        """

    def shape(self, row: dict[str, Any]) -> tuple[int, ...] | None:
        """The shape of the original of a row, without decoding it; None if its file is not on this
        machine. Raises any error of a decoder.
        """

    def file_hash(self, row: dict[str, Any]) -> str | None:
        """The same hash of the encoded bytes as `read` returns."""

    def is_nameless(self, row: dict[str, Any]) -> bool:
        """True for bytes without the name of a file: other versions of a library may encode the
        same original differently.
        """

    def check_files(self, table: pa.Table, roots: Any) -> None:
        """Raise RequestError if a row names a file outside of `roots`."""

    def record(self, original: Any) -> list[Any]:
        """A description of an original by its content, as plain data for JSON."""


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
    if vectors and (asked in vectors or (asked is None and not image_columns(features))):
        return vector_column(vectors, spec)
    return image_column(features, spec)


def needed(features: Any, spec: DataSpec) -> datasets.Features:
    """The columns to read: first the originals, undecoded, then the labels.

    Raises:
        RequestError: as `find_column`.
    """
    column, label = find_column(features, spec), label_column(features)
    labels = {} if label is None else {label: features[label]}
    return datasets.Features(**{column.column: column.feature, **labels})


def bare(rows: Any, spec: DataSpec) -> Any:
    """A dataset or a stream with only the columns to read, its originals undecoded."""
    columns = needed(rows.features, spec)
    originals = next(iter(columns))
    rows = rows.with_format(None).select_columns(list(columns))
    return rows.cast_column(originals, columns[originals])
