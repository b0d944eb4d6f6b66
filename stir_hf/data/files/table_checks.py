"""Checks of the files of an inversion set before its rows are read: columns, types, sizes, keys."""

from collections.abc import Mapping, Sequence, Set
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from stir_hf.data.files.broken import BrokenError
from stir_hf.data.files.rows import GROUP_BYTES, STATUSES, UNREADABLE, Rows
from stir_hf.data.sets.manifest import Manifest
from stir_hf.inputs import kind_of
from stir_hf.inputs.arrow import is_floats, is_text

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
}
_OPTIONAL = {"file_hash", "label"}


def _inputs(manifest: Manifest) -> dict[str, tuple[Any, str]]:
    """For each column of inputs: a test of its type, and the expected type in words."""
    kind, exact = kind_of(manifest.identity["canvas"]), manifest.identity["engine"]["exact"]
    arrays = partial(kind.is_column, exact=True), "arrays"
    stored = partial(kind.is_column, exact=False), f"{kind.name}s"
    return {kind.name: stored, "inverted": arrays if exact else stored, "start": arrays}


def check_files(rows: Rows, manifest: Manifest) -> None:
    """Compare the columns and sizes in the footers of all files with those expected.

    Raises:
        BrokenError: a file that differs.
    """
    kinds, first = {**_KINDS, **_inputs(manifest)}, None
    needed = _KINDS.keys() - _OPTIONAL | {"inverted"}
    needed |= {"start"} if "starts" in manifest.identity["engine"] else set()
    for path, schema, about in rows.footers:
        _check_schema(path, schema, kinds, needed)
        types = {name: schema.field(name).type for name in kinds if name in schema.names}
        first = types if first is None else first
        for name in types.keys() & first.keys():
            if types[name] != first[name]:
                raise BrokenError(path, f"column {name!r} is of another type than in other files")
        size = path.stat().st_size
        if about.num_rows > size:
            raise BrokenError(path, f"it says that {about.num_rows} rows are in {size} bytes")
        for group in range(about.num_row_groups):
            if (large := about.row_group(group).total_byte_size) > GROUP_BYTES:
                raise BrokenError(path, f"it says that some rows take {large} bytes")


def _check_schema(
    path: Any, schema: pa.Schema, kinds: Mapping[str, tuple[Any, str]], needed: Set[str]
) -> None:
    for name, (holds, what) in kinds.items():
        there = schema.names.count(name)
        if there > 1 or (not there and name in needed):
            raise BrokenError(path, f"it has {there or 'no'} columns {name!r}")
        if there and not holds(schema.field(name).type):
            kind = str(schema.field(name).type)
            raise BrokenError(path, f"column {name!r} must be of {what}, not {kind[:60]}")


def check_small(called: str, columns: Mapping[str, NDArray[Any]], manifest: Manifest) -> None:
    """Check the columns that are in memory.

    Args:
        called: name of the set in messages.
        columns: index, draw, status and relative_error, (n,) each.
        manifest: of the set.

    Raises:
        BrokenError: a row with impossible values.
    """
    index, draw, status = (columns[name] for name in ("index", "draw", "status"))
    error = np.asarray(columns["relative_error"], np.float32)
    most, name = manifest.identity["data"]["rows"], manifest.identity["canvas"]["kind"]

    def refuse(bad: NDArray[np.bool_], why: str) -> None:
        for row in np.flatnonzero(bad)[:1]:
            raise BrokenError(called, f"{name} {index[row]}, draw {draw[row]}: {why}")

    for column in ("index", "draw", "status"):
        if columns[column].dtype.kind not in "iu":
            known = f"; expected {', '.join(STATUSES)}" if column == "status" else ""
            raise BrokenError(called, f"a row has no {column}, or an unknown one{known}")
    refuse((index < 0) | (draw < 0), "a negative number")
    refuse(index >= (most or np.iinfo(np.int64).max), f"the data has {most} {name}s")
    measured = status < STATUSES.index("not_finite")
    refuse(measured & ~(np.isfinite(error) & (error >= 0)), "relative_error is no number")


def check_copies(
    called: str,
    rows: Rows,
    columns: Mapping[str, NDArray[Any]],
    order: NDArray[np.int64],
    manifest: Manifest,
) -> None:
    """Compare rows of equal index and draw: they must be copies, unless a sample that was
    unreadable once could be read later.

    Args:
        called: name of the set in messages.
        rows: the rows of all files.
        columns: index, draw and status of each row.
        order: the first row of each index and draw.
        manifest: of the set.

    Raises:
        BrokenError: two copies that differ.
    """
    index, draw, status = (columns[name] for name in ("index", "draw", "status"))
    again = np.ones(len(index), bool)
    again[order] = False
    again &= status != STATUSES.index(UNREADABLE)
    copies = np.flatnonzero(again)
    if not len(copies):
        return
    first = {(int(index[row]), int(draw[row])): int(row) for row in order}
    known = {*_KINDS, *_inputs(manifest)} - {*_OWN}
    names = [name for name in rows.schema.names if name in known]
    for begin in range(0, len(copies), _AT_ONCE):
        some = copies[begin : begin + _AT_ONCE].tolist()
        pairs = [first[int(index[row]), int(draw[row])] for row in some]
        one, other = rows.take(pairs, names), rows.take(some, names)
        if not one.equals(other):
            row = next(i for i in range(len(some)) if not one.slice(i, 1).equals(other.slice(i, 1)))
            what = kind_of(manifest.identity["canvas"]).name
            where = f"{what} {index[some[row]]}, draw {draw[some[row]]}"
            raise BrokenError(called, f"{where}: it is there twice, with different content")


def check_hashes(
    called: str,
    index: NDArray[np.int64],
    hashes: Sequence[str | None],
    identity: Mapping[int, str | None],
    name: str,
) -> None:
    """Compare the canvas hashes of readable rows, one for each original.

    Args:
        called: name of the set in messages.
        index: (n,): the original of each row.
        hashes: n canvas hashes, one for each row.
        identity: the canvas hashes of the first originals in the identity of the set.
        name: name of the kind of input.

    Raises:
        BrokenError: two canvas hashes of one original, or another one than in the identity.
    """
    first: dict[int, str | None] = {}
    for number, digest in zip(index.tolist(), hashes, strict=True):
        if first.setdefault(number, digest) != digest:
            raise BrokenError(called, f"{name} {number}: its draws are of different canvases")
    for number, digest in identity.items():
        if None not in (digest, first.get(number)) and first[number] != digest:
            raise BrokenError(
                called,
                f"{name} {number}: its canvas is not the one that inversions.json records",
            )
