"""Checks of the files of an inversion set before its rows are read: columns, types, sizes, keys."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from stir_hf.data.files.broken import BrokenError
from stir_hf.data.files.columns import MORE
from stir_hf.data.files.rows import GROUP_BYTES, STATUSES, UNREADABLE, Rows
from stir_hf.data.sets.manifest import Manifest
from stir_hf.inputs.arrow import is_floats, is_text
from stir_hf.inputs.base import Kind, kind_of

_OWN = ("index", "draw", "file_hash", "start", "label")
"""Columns that are left out when rows of equal index and draw are compared."""
_AT_ONCE = 64

_KINDS: Mapping[str, tuple[Any, str]] = {
    "index": (pa.types.is_int64, "int64"),
    "draw": (pa.types.is_int32, "int32"),
    "canvas_hash": (is_text, "texts"),
    "file_hash": (is_text, "texts"),
    "status": (is_text, "texts"),
    "relative_error": (pa.types.is_float32, "float32"),
    "representation": (is_floats, "lists of numbers"),
    "representation_inverted": (is_floats, "lists of numbers"),
    "label": (pa.types.is_integer, "whole numbers"),
    "restart": (pa.types.is_int32, "int32"),
    "tried": (pa.types.is_int32, "int32"),
    "start_index": (pa.types.is_int64, "int64"),
    "unstored_error": (pa.types.is_float32, "float32"),
    "class_kept": (pa.types.is_boolean, "booleans"),
}
_OPTIONAL = {"file_hash", "label", *MORE}


@dataclass(frozen=True, eq=False)
class TableChecks:
    """Checks of the rows of a set before they are read; every method raises BrokenError."""

    called: str
    """Name of the set in messages."""
    manifest: Manifest
    rows: Rows
    """The rows of all files."""

    @cached_property
    def kind(self) -> Kind:
        """The kind of input."""
        return kind_of(self.manifest.identity["canvas"])

    @cached_property
    def _kinds(self) -> dict[str, tuple[Any, str]]:
        """For each column: a test of its type, and the expected type in words."""
        kind, exact = self.kind, self.manifest.identity["engine"]["exact"]
        arrays = partial(kind.is_column, exact=True), "arrays"
        stored = partial(kind.is_column, exact=False), f"{kind.name}s"
        inputs = {kind.name: stored, "inverted": arrays if exact else stored, "start": arrays}
        return {**_KINDS, **inputs}

    @cached_property
    def columns(self) -> dict[str, NDArray[Any]]:
        """The columns that are kept in memory, (n,) each; `status` as its number in `STATUSES`."""
        names = ("index", "draw", "status", "relative_error")
        return dict(zip(names, self.rows.columns(*names), strict=True))

    def check_files(self) -> None:
        """Compare the columns and sizes in the footers of all files with those expected."""
        first: dict[str, pa.DataType] = {}
        for path, schema, about in self.rows.footers:
            self._check_schema(path, schema)
            for name in self._kinds.keys() & set(schema.names):
                kind = schema.field(name).type
                if first.setdefault(name, kind) != kind:
                    told = f"column {name!r} is of another type than in other files"
                    raise BrokenError(path, told)
            size = path.stat().st_size
            if about.num_rows > size:
                raise BrokenError(path, f"it says that {about.num_rows} rows are in {size} bytes")
            for group in range(about.num_row_groups):
                if (large := about.row_group(group).total_byte_size) > GROUP_BYTES:
                    raise BrokenError(path, f"it says that some rows take {large} bytes")

    def _check_schema(self, path: Path, schema: pa.Schema) -> None:
        needed = _KINDS.keys() - _OPTIONAL | {"inverted"}
        needed |= {"start"} if "starts" in self.manifest.identity["engine"] else set()
        for name, (holds, what) in self._kinds.items():
            there = schema.names.count(name)
            if there > 1 or (not there and name in needed):
                raise BrokenError(path, f"it has {there or 'no'} columns {name!r}")
            if there and not holds(schema.field(name).type):
                kind = str(schema.field(name).type)
                raise BrokenError(path, f"column {name!r} must be of {what}, not {kind[:60]}")

    def _bad(self, row: int, why: str) -> BrokenError:
        where = f"{self.columns['index'][row]}, draw {self.columns['draw'][row]}"
        return BrokenError(self.called, f"{self.kind.name} {where}: {why}")

    def check_small(self) -> None:
        """Check that the columns in memory hold possible values."""
        index, draw, status, error = self.columns.values()
        for column in ("index", "draw", "status"):
            if self.columns[column].dtype.kind not in "iu":
                known = f"; expected {', '.join(STATUSES)}" if column == "status" else ""
                told = f"a row has no {column}, or an unknown one{known}"
                raise BrokenError(self.called, told)
        most = self.manifest.identity["data"]["rows"]
        error = np.asarray(error, np.float32)
        measured = status < STATUSES.index("not_finite")
        impossible = {
            "a negative number": (index < 0) | (draw < 0),
            f"the data has {most} {self.kind.name}s": index >= (most or np.iinfo(np.int64).max),
            "relative_error is no number": measured & ~(np.isfinite(error) & (error >= 0)),
        }
        for why, bad in impossible.items():
            for row in np.flatnonzero(bad).tolist():
                raise self._bad(row, why)

    def check_copies(self, order: NDArray[np.int64]) -> None:
        """Compare rows of equal index and draw: they must be copies, unless a sample that was
        unreadable once could be read later. `order` is the first row of each index and draw.
        """
        index, draw, status, _ = self.columns.values()
        again = status != STATUSES.index(UNREADABLE)
        again[order] = False
        copies = np.flatnonzero(again)
        if not len(copies):
            return
        first = {(int(index[row]), int(draw[row])): int(row) for row in order}
        names = [n for n in self.rows.schema.names if n in self._kinds and n not in _OWN]
        for begin in range(0, len(copies), _AT_ONCE):
            some = copies[begin : begin + _AT_ONCE].tolist()
            pairs = [first[int(index[row]), int(draw[row])] for row in some]
            one, other = self.rows.take(pairs, names), self.rows.take(some, names)
            for i, row in enumerate(some if not one.equals(other) else ()):
                if not one.slice(i, 1).equals(other.slice(i, 1)):
                    raise self._bad(row, "it is there twice, with different content")

    def check_hashes(self, rows: NDArray[np.int64], identity: Mapping[int, str | None]) -> None:
        """Compare the canvas hashes of readable rows with each other and with the identity."""
        first: dict[int, str | None] = {}
        hashes: Sequence[str | None] = self.rows.values("canvas_hash", rows)
        for number, digest in zip(self.columns["index"][rows].tolist(), hashes, strict=True):
            if first.setdefault(number, digest) != digest:
                told = f"{self.kind.name} {number}: its draws are of different canvases"
                raise BrokenError(self.called, told)
        for number, digest in identity.items():
            if None not in (digest, first.get(number)) and first[number] != digest:
                told = f"{self.kind.name} {number}: its canvas is not the one in inversions.json"
                raise BrokenError(self.called, told)
