"""Feature vectors in the cells of a dataset, and in memory."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import datasets
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from stir_hf.data.identity import array_hash
from stir_hf.errors import RequestError

LISTS = (datasets.List, datasets.LargeList)
"""Features of lists."""


@dataclass(frozen=True)
class VectorColumn:
    """A column of lists of numbers in a dataset."""

    kind: ClassVar[str] = "vector"
    name: str
    """The name of the column."""
    feature: Any
    """The feature of the column."""

    @property
    def column(self) -> str:
        """The name of the column of the dataset, which is the same."""
        return self.name

    def read(self, row: dict[str, Any]) -> tuple[NDArray[np.float32], str]:
        """The vector of a row, (d,), and the hash of its values.

        Raises:
            ValueError: not a vector, or values that are not finite as float32.
        """
        vector = _vector(row[self.name])
        if not np.isfinite(vector).all():
            raise ValueError("it has values that are not finite")
        return vector, array_hash(vector)

    def shape(self, row: dict[str, Any]) -> tuple[int, ...]:
        """(d,): the length of the vector of a row."""
        return _vector(row[self.name]).shape

    def file_hash(self, row: dict[str, Any]) -> str | None:
        """The hash of the values of a row; None if it has none."""
        return None if row[self.name] is None else array_hash(_vector(row[self.name]))

    def is_nameless(self, row: dict[str, Any]) -> bool:  # noqa: ARG002 - a Column
        """Return False, since values have only one encoding."""
        return False

    def check_files(self, table: pa.Table, roots: Any) -> None:
        """Do nothing, since vectors name no files."""

    def record(self, original: NDArray[np.float32]) -> list[Any]:
        """The hash of a vector."""
        return [array_hash(original)]


def _vector(cell: Any) -> NDArray[np.float32]:
    if cell is None:
        raise ValueError("there is none")
    with np.errstate(over="ignore"):
        vector = np.asarray(cell, np.float32)
    if not vector.size:
        raise ValueError("it is empty")
    return vector


def vector_columns(features: Any, asked: str | None = None) -> dict[str, VectorColumn]:
    """The columns of lists of floats, by name; the requested one may hold integers."""
    return {
        name: VectorColumn(name, feature)
        for name, feature in (features or {}).items()
        if _holds(feature, "float") or (name == asked and _holds(feature, "int"))
    }


def _holds(feature: Any, kind: str) -> bool:
    inner = getattr(feature, "feature", None)
    return isinstance(feature, LISTS) and isinstance(inner, datasets.Value) and kind in inner.dtype


def only_column(found: Mapping[str, VectorColumn], dataset: str) -> VectorColumn:
    """The only column of vectors; raises RequestError if there are several."""
    first, *others = found.values()
    if others:
        raise RequestError(
            f"dataset {dataset} has several columns of vectors: {', '.join(found)}",
            "; choose one with --image-column",
        )
    return first


def as_vectors(given: Any) -> datasets.Dataset | None:
    """A dataset of vectors that were passed in; None if they are something else.

    Args:
        given: an array (n, d) of floats, or a list of arrays (d,) of floats.
    """
    rows = list(given) if isinstance(given, list | tuple | np.ndarray) else []
    if not rows or not all(_is_vector(row) for row in rows):
        return None
    return datasets.Dataset.from_dict({VectorColumn.kind: [np.float32(row) for row in rows]})


def _is_vector(row: Any) -> bool:
    return isinstance(row, np.ndarray) and row.ndim == 1 and row.dtype.kind == "f"
