"""The columns of an inversion set: their types, and arrays that are read from disk when they are
indexed.
"""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from stir_hf.data.files.rows import Rows
from stir_hf.data.files.shards import files_of
from stir_hf.data.sets.labels import LABEL
from stir_hf.inputs.base import Kind

CLASS_KEPT = "class_kept"
MORE = {
    "restart": "int32",
    "tried": "int32",
    "start_index": "int64",
    "unstored_error": "float32",
    CLASS_KEPT: "bool",
}
"""Columns that only some sets have: the number of the restart that gave the inversion, how many
starts were tried, the index of the original that it started from, the error before it was stored,
and whether the reference gives it the class of its original (null without classes).
"""


def features(
    kind: Kind, exact: bool, more: Collection[str] = (), label: Any = None
) -> datasets.Features:
    """The columns of an inversion set.

    Args:
        kind: the kind of input.
        exact: True to keep every bit of the inversions.
        more: columns that only some sets have: `start`, or one of `MORE`.
        label: the feature of the labels, where there are any.
    """
    floats = datasets.List(datasets.Value("float32"))
    columns = {
        "index": datasets.Value("int64"),
        "draw": datasets.Value("int32"),
        "canvas_hash": datasets.Value("string"),
        "file_hash": datasets.Value("string"),
        "status": datasets.Value("string"),
        kind.name: kind.feature(exact=False),
        "inverted": kind.feature(exact=exact),
        "relative_error": datasets.Value("float32"),
        "representation": floats,
        "representation_inverted": floats,
    }
    if "start" in more:
        columns["start"] = kind.feature(exact=True)
    columns |= {name: datasets.Value(kind) for name, kind in MORE.items() if name in more}
    if label is not None:
        columns["label"] = label
    return datasets.Features(**columns)


def columns_of(folder: Path) -> datasets.Features | None:
    """The columns of the rows on disk; None if there are no rows yet. A set has one schema."""
    files = files_of(folder)
    return datasets.Features.from_arrow_schema(Rows(files[:1]).schema) if files else None


def features_of(schema: pa.Schema, kind: Kind, exact: bool) -> datasets.Features:
    """The columns present in a set, with the types that stir-hf gives them. Only the class names
    are taken from the types that the files declare.
    """
    known = features(kind, exact, ("start", *MORE), _label(schema))
    return datasets.Features(**{name: known[name] for name in schema.names if name in known})


def _label(schema: pa.Schema) -> Any:
    if LABEL not in schema.names:
        return None
    try:
        found = datasets.Features.from_arrow_schema(schema).get(LABEL)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError, pa.ArrowException):
        found = None
    numbers = datasets.Value(str(schema.field(LABEL).type))
    return found if isinstance(found, datasets.ClassLabel) else numbers


class ArrayOnDisk(np.lib.mixins.NDArrayOperatorsMixin):
    """An array (n, *shape) of float32 that is not in memory: indexing reads the rows asked for.

    `numpy.asarray` reads all of it, and so does arithmetic.
    """

    def __init__(
        self, read: Callable[[Sequence[int]], NDArray[np.float32]], shape: tuple[int, ...]
    ) -> None:
        self._read, self.shape = read, shape
        self.ndim, self.dtype = len(shape), np.dtype(np.float32)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> NDArray[np.float32]:
        """One row, or the rows of a slice, a mask or a list of numbers."""
        numbers = np.arange(len(self))[rows]
        found = self._read(np.atleast_1d(numbers).tolist())
        return found if np.ndim(numbers) else np.asarray(found[0])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("the values are on disk: an array of them is a copy")
        return np.asarray(self[:], dtype)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        arrays = [np.asarray(x) if isinstance(x, ArrayOnDisk) else x for x in inputs]
        return getattr(ufunc, method)(*arrays, **options)
