"""Checks of rows as they are read: inputs and representations must agree with the other columns."""

from collections.abc import Sequence
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
_OTHER_HASH = "its values are not those of its canvas_hash"
_LEAST = 1e-6
"""Smallest difference of errors that counts; float32 storage loses smaller float64 ones."""


@dataclass(frozen=True)
class Keys:
    """The columns of some rows that are kept in memory."""

    index: NDArray[np.int64]
    """(b,): the row of the original in its split."""
    draw: NDArray[np.int32]
    """(b,): the number of the inversion of that original."""
    error: NDArray[np.float32]
    """(b,): the relative error."""
    converged: NDArray[np.bool_]
    """(b,): True if the status says that the inversion converged."""

    def of(self, rows: Sequence[int]) -> "Keys":
        """The keys of some of the rows."""
        some = list(rows)
        return Keys(self.index[some], self.draw[some], self.error[some], self.converged[some])


@dataclass(frozen=True)
class RowChecks:
    """Checks of the rows of one set.

    Every method raises BrokenError, with the set, index and draw of the first bad row.
    """

    called: str
    """Name of the set in messages."""
    manifest: Manifest

    @cached_property
    def kind(self) -> Kind:
        """The kind of input."""
        return kind_of(self.manifest.identity["canvas"])

    def bad(self, keys: Keys, row: int, why: str) -> BrokenError:
        """The error for one row."""
        where = f"{self.kind.name} {keys.index[row]}, draw {keys.draw[row]}"
        return BrokenError(self.called, f"{where}: {why}")

    def values(self, keys: Keys, column: str, table: pa.Table) -> NDArray[np.float32]:
        """(b, *shape): a column of files or floats; originals are compared with `canvas_hash`."""
        if not pa.types.is_struct(table[column].type):
            values = self._floats(keys, column, table[column])
            if "canvas_hash" in table.column_names:
                self._check_hashes(keys, column, values, table["canvas_hash"].to_pylist())
            return values
        found = np.zeros((0, *self.kind.shape), np.float32)
        hashed = "canvas_hash" in table.column_names
        hashes = [one or "" for one in table["canvas_hash"].to_pylist()] if hashed else None
        for row, cell in enumerate(table[column].to_pylist()):
            try:
                one = self._decoded(cell, None if hashes is None else hashes[row])
            except ValueError as error:
                raise self.bad(keys, row, f"{column}: {error}") from error
            if not row:  # it has the shape: memory is asked for
                found = np.empty((len(table), *self.kind.shape), np.float32)
            found[row] = one
        return found

    def canvases(self, keys: Keys, table: pa.Table) -> list[NDArray[Any]]:
        """The canvases of a column of originals."""
        found, column = [], self.kind.name
        for row, cell in enumerate(table[column].to_pylist()):
            try:
                found.append(self.kind.canvas(_held(cell) if isinstance(cell, dict) else cell))
            except ValueError as error:
                raise self.bad(keys, row, f"{column}: {error}") from error
        return found

    def headers(self, keys: Keys, column: str, table: pa.Table) -> None:
        """Check a column like `values`, without decoding files."""
        if not pa.types.is_struct(table[column].type):
            self._floats(keys, column, table[column])
            return
        for row, cell in enumerate(table[column].to_pylist()):
            try:
                self.kind.check(_held(cell))
            except ValueError as error:
                raise self.bad(keys, row, f"{column}: {error}") from error

    def _decoded(self, cell: Any, digest: str | None) -> NDArray[np.float32]:
        canvas = self.kind.canvas(_held(cell))
        if digest is not None and digest != array_hash(canvas):
            raise ValueError(_OTHER_HASH)
        return self.kind.values(canvas)

    def _check_hashes(
        self, keys: Keys, column: str, values: NDArray[np.float32], hashes: list[str | None]
    ) -> None:
        for row, (value, digest) in enumerate(zip(values, hashes, strict=True)):
            if digest != array_hash(value):
                raise self.bad(keys, row, f"{column}: {_OTHER_HASH}")

    def _floats(self, keys: Keys, name: str, column: pa.ChunkedArray) -> NDArray[np.float32]:
        kind = getattr(column.type, "storage_type", column.type)
        values = pa.chunked_array([getattr(one, "storage", one) for one in column.chunks], kind)
        inside = 1
        for side in self.kind.shape:
            lengths = pc.fill_null(pc.list_value_length(values), 0).to_numpy()
            for place in np.flatnonzero(lengths != side):
                why = f"{name}: an axis has {lengths[place]} values, not {side}"
                raise self.bad(keys, int(place) // inside, why)
            values, inside = pc.list_flatten(values), inside * side
        found = np.array(values.cast(pa.float32()).to_numpy(), np.float32)
        found = found.reshape(len(column), *self.kind.shape)
        for row in np.flatnonzero(~np.isfinite(found).all(tuple(range(1, found.ndim)))):
            raise self.bad(keys, int(row), f"{name}: it is not finite")
        return found

    def vectors(self, keys: Keys, table: pa.Table, width: int | None) -> list[NDArray[np.float32]]:
        """(b, d): representations of originals and of inversions; `width` is d, if known."""
        pair = [self._matrix(keys, name, table[name], width) for name in REPRESENTATIONS]
        if pair[0].shape != pair[1].shape:
            raise self.bad(
                keys,
                0,
                f"its representations have {pair[0].shape[1]} values and {pair[1].shape[1]}",
            )
        self._check_errors(keys, *(one.astype(np.float64) for one in pair))
        return pair

    def _matrix(
        self, keys: Keys, name: str, column: pa.ChunkedArray, width: int | None
    ) -> NDArray[np.float32]:
        lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
        expected = int(lengths[0]) if width is None and len(lengths) else width
        for row in np.flatnonzero((lengths != expected) | (lengths == 0)):
            raise self.bad(keys, int(row), f"{name} has {lengths[row]} values, not {expected or 1}")
        values = pc.list_flatten(column).cast(pa.float32()).to_numpy()
        matrix = np.array(values, np.float32).reshape(len(column), expected or 0)
        for row in np.flatnonzero(~np.isfinite(matrix).all(1)):
            raise self.bad(keys, int(row), f"{name} is not finite")
        return matrix

    def _check_errors(
        self, keys: Keys, original: NDArray[np.float64], inverted: NDArray[np.float64]
    ) -> None:
        """Compare the errors with the distances of stored representations, and with the status."""
        lengths = np.linalg.norm(original, axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            error = np.linalg.norm(inverted - original, axis=1) / lengths
        differs = np.abs(error - keys.error) > _LEAST + self._share * error
        for row in np.flatnonzero(~np.isfinite(error) | differs):
            raise self.bad(
                keys,
                int(row),
                f"its relative_error is {keys.error[row]:.6g}, and that of its representations"
                f" {error[row]:.6g}",
            )
        spread = self.manifest.spread
        limits = np.array([self.tolerance.limit(float(length), spread) for length in lengths])
        low, high = limits * (1 - _ROUNDING), limits * (1 + _ROUNDING)
        wrong = np.where(keys.converged, keys.error > high, keys.error < low)
        for row in np.flatnonzero(wrong):
            raise self.bad(
                keys,
                int(row),
                f"its status is {'converged' if keys.converged[row] else 'max_steps'} at an error"
                f" of {keys.error[row]:.6g}, with a tolerance of {limits[row]:.6g}",
            )

    @cached_property
    def tolerance(self) -> Tolerance:
        """The tolerance of the set."""
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
