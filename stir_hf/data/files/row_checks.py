"""Checks of rows as they are read: inputs and representations must agree with the other columns."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from stir_hf.data.files.broken import BrokenError
from stir_hf.data.identity import PROBE_TOLERANCE, array_hash
from stir_hf.data.sets.manifest import Manifest
from stir_hf.engine import Tolerance
from stir_hf.inputs.base import Kind, kind_of

REPRESENTATIONS = ("representation", "representation_inverted")

_ROUNDING = 1e-5
"""Relative rounding of an error and of the value it is compared with, both float32 on disk."""
_LEAST = 1e-6
"""Smallest difference of errors that counts; float32 storage loses smaller float64 ones."""


@dataclass(frozen=True, eq=False)
class RowChecks:
    """Checks of the rows of one set, which are given by their numbers in the set and as a table.

    Every method raises BrokenError, with the set, index and draw of the first bad row.
    """

    called: str
    """Name of the set in messages."""
    manifest: Manifest
    index: NDArray[np.int64]
    """(n,): the row of the original in its split."""
    draw: NDArray[np.int32]
    """(n,): the number of the inversion of that original."""
    error: NDArray[np.float32]
    """(n,): the relative error."""
    converged: NDArray[np.bool_]
    """(n,): True if the status says that the inversion converged."""

    @cached_property
    def kind(self) -> Kind:
        """The kind of input."""
        return kind_of(self.manifest.identity["canvas"])

    def bad(self, row: int, why: str) -> BrokenError:
        """The error of a row."""
        where = f"{self.kind.name} {self.index[row]}, draw {self.draw[row]}"
        return BrokenError(self.called, f"{where}: {why}")

    @contextmanager
    def _of_row(self, row: int, column: str) -> Iterator[None]:
        """Report a ValueError as an error of a row."""
        try:
            yield
        except ValueError as error:
            raise self.bad(row, f"{column}: {error}") from error

    def values(self, rows: Sequence[int], column: str, table: pa.Table) -> NDArray[np.float32]:
        """(b, *shape): a column of files or floats, compared with `canvas_hash` if that is in the
        table.
        """
        if pa.types.is_struct(table[column].type):
            found = np.zeros((0, *self.kind.shape), np.float32)
            for place, canvas in enumerate(self.canvases(rows, column, table)):
                if not place:  # allocate memory, as the first file has the right shape
                    found = np.empty((len(table), *self.kind.shape), np.float32)
                found[place] = self.kind.values(canvas)
            return found
        values = self._floats(rows, column, table[column])
        for row, value, digest in zip(rows, values, _hashes(table), strict=True):
            with self._of_row(row, column):
                _check_hash(value, digest)
        return values

    def canvases(self, rows: Sequence[int], column: str, table: pa.Table) -> Iterator[NDArray[Any]]:
        """The canvases of a column, compared like `values`."""
        cells, are_files = table[column].to_pylist(), pa.types.is_struct(table[column].type)
        for row, cell, digest in zip(rows, cells, _hashes(table), strict=True):
            with self._of_row(row, column):
                canvas = self.kind.canvas(_held(cell) if are_files else cell)
                _check_hash(canvas, digest)
            yield canvas

    def headers(self, rows: Sequence[int], column: str, table: pa.Table) -> None:
        """Check a column like `values`, without decoding files."""
        if not pa.types.is_struct(table[column].type):
            self._floats(rows, column, table[column])
            return
        for row, cell in zip(rows, table[column].to_pylist(), strict=True):
            with self._of_row(row, column):
                self.kind.check(_held(cell))

    def _floats(
        self, rows: Sequence[int], name: str, column: pa.ChunkedArray
    ) -> NDArray[np.float32]:
        kind = getattr(column.type, "storage_type", column.type)
        values = pa.chunked_array([getattr(one, "storage", one) for one in column.chunks], kind)
        inside = 1
        for side in self.kind.shape:
            lengths = pc.fill_null(pc.list_value_length(values), 0).to_numpy()
            for place in np.flatnonzero(lengths != side).tolist():
                why = f"{name}: an axis has {lengths[place]} values, not {side}"
                raise self.bad(rows[place // inside], why)
            values, inside = pc.list_flatten(values), inside * side
        found = np.array(values.cast(pa.float32()).to_numpy(), np.float32)
        found = found.reshape(len(column), *self.kind.shape)
        for place in np.flatnonzero(~np.isfinite(found).all(tuple(range(1, found.ndim)))).tolist():
            raise self.bad(rows[place], f"{name}: it is not finite")
        return found

    def vectors(
        self, rows: Sequence[int], table: pa.Table, width: int
    ) -> list[NDArray[np.float32]]:
        """(b, width): representations of originals and of inversions."""
        pair = [self._matrix(rows, name, table[name], width) for name in REPRESENTATIONS]
        self._check_errors(rows, *(one.astype(np.float64) for one in pair))
        return pair

    def _matrix(
        self, rows: Sequence[int], name: str, column: pa.ChunkedArray, width: int
    ) -> NDArray[np.float32]:
        lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
        for place in np.flatnonzero((lengths != width) | (lengths == 0)).tolist():
            told = f"{name} has {lengths[place]} values, not {width or 1}"
            raise self.bad(rows[place], told)
        values = pc.list_flatten(column).cast(pa.float32()).to_numpy()
        matrix = np.array(values, np.float32).reshape(len(column), width)
        for place in np.flatnonzero(~np.isfinite(matrix).all(1)).tolist():
            raise self.bad(rows[place], f"{name} is not finite")
        return matrix

    def _check_errors(
        self, rows: Sequence[int], original: NDArray[np.float64], inverted: NDArray[np.float64]
    ) -> None:
        """Compare the errors with the distances of stored representations, and with the status."""
        stored, converged = self.error[rows], self.converged[rows]
        lengths = np.linalg.norm(original, axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            error = np.linalg.norm(inverted - original, axis=1) / lengths
        differs = np.abs(error - stored) > _LEAST + self._share * error
        for place in np.flatnonzero(~np.isfinite(error) | differs).tolist():
            raise self.bad(
                rows[place],
                f"its relative_error is {stored[place]:.6g}, and that of its representations"
                f" {error[place]:.6g}",
            )
        spread = self.manifest.spread
        limits = np.array([self._tolerance.limit(float(length), spread) for length in lengths])
        low, high = limits * (1 - _ROUNDING), limits * (1 + _ROUNDING)
        for place in np.flatnonzero(np.where(converged, stored > high, stored < low)).tolist():
            raise self.bad(
                rows[place],
                f"its status is {'converged' if converged[place] else 'max_steps'} at an error"
                f" of {stored[place]:.6g}, with a tolerance of {limits[place]:.6g}",
            )

    @cached_property
    def _tolerance(self) -> Tolerance:
        return Tolerance.parse(self.manifest.identity["engine"]["tolerance"])

    @cached_property
    def _share(self) -> float:
        """Relative difference allowed between a computed error and that of the stored inversion."""
        precision = self.manifest.identity["network"]["precision"]
        return PROBE_TOLERANCE["bfloat16" if precision.get("autocast") else precision["dtype"]]


def _held(cell: Any) -> bytes:
    """The bytes of a stored file; a path or URL in their place is never opened."""
    if cell is None or not (cell["bytes"] or cell["path"]):
        raise ValueError("there is none")
    if not cell["bytes"]:
        raise ValueError(f"it names the file {cell['path']} instead of containing it")
    held: bytes = cell["bytes"]
    return held


def _hashes(table: pa.Table) -> list[str | None]:
    """The canvas hash of each row, which no array has if it is ""; None without that column."""
    if "canvas_hash" not in table.column_names:
        return [None] * len(table)
    return [one or "" for one in table["canvas_hash"].to_pylist()]


def _check_hash(values: NDArray[Any], digest: str | None) -> None:
    if digest is not None and digest != array_hash(values):
        raise ValueError("its values are not those of its canvas_hash")
