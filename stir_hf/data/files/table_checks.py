"""The files of an inversion set before its rows are read: columns, types and sizes, and what each
row says of itself.
"""

from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from stir_hf.data.files.broken import BrokenError
from stir_hf.data.files.rows import GROUP_BYTES, STATUSES, UNREADABLE, Rows
from stir_hf.data.sets.manifest import Manifest

_SAME = (
    "status",
    "canvas_hash",
    "image",
    "inverted",
    "relative_error",
    "representation",
    "representation_inverted",
)
"""Columns that rows of equal index and draw have in common."""
_AT_ONCE = 64


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_floats(kind: pa.DataType, depth: int = 1) -> bool:
    kind = getattr(kind, "storage_type", kind)
    if depth == 0:
        return bool(pa.types.is_floating(kind))
    listed = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return bool(listed) and _is_floats(kind.value_type, depth - 1)


def _is_file(kind: pa.DataType) -> bool:
    if not pa.types.is_struct(kind) or {field.name for field in kind} != {"bytes", "path"}:
        return False
    held, path = kind.field("bytes").type, kind.field("path").type
    binary = pa.types.is_binary(held) or pa.types.is_large_binary(held)
    return bool(binary) and (_is_text(path) or bool(pa.types.is_null(path)))


_KINDS: Mapping[str, tuple[Any, str]] = {
    "index": (pa.types.is_int64, "int64"),
    "draw": (pa.types.is_int32, "int32"),
    "canvas_hash": (_is_text, "texts"),
    "file_hash": (_is_text, "texts"),
    "status": (_is_text, "texts"),
    "image": (_is_file, "images"),
    "inverted": (_is_file, "images"),
    "relative_error": (pa.types.is_float32, "float32"),
    "representation": (_is_floats, "lists of numbers"),
    "representation_inverted": (_is_floats, "lists of numbers"),
    "start": (lambda kind: _is_floats(kind, 3), "arrays"),
    "label": (pa.types.is_integer, "whole numbers"),
}
_OPTIONAL = {"file_hash", "image", "start", "label"}


def check_files(rows: Rows, manifest: Manifest) -> None:
    """Compare the columns and sizes of all files with what such a set has, by their footers.

    Raises:
        BrokenError: a file that differs.
    """
    kinds, first = dict(_KINDS), None
    engine = manifest.identity["engine"]
    needed = kinds.keys() - _OPTIONAL | ({"start"} if "starts" in engine else set())
    if engine["exact"]:
        kinds["inverted"] = (lambda kind: _is_floats(kind, 3), "arrays")
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
        called: the set, in messages.
        columns: index, draw, status and relative_error, (n,) each.
        manifest: of the set.

    Raises:
        BrokenError: a row that cannot be.
    """
    index, draw, status = (columns[name] for name in ("index", "draw", "status"))
    error = np.asarray(columns["relative_error"], np.float32)
    most = manifest.identity["data"]["rows"]

    def refuse(bad: NDArray[np.bool_], why: str) -> None:
        for row in np.flatnonzero(bad)[:1]:
            raise BrokenError(called, f"image {index[row]}, draw {draw[row]}: {why}")

    for name in ("index", "draw", "status"):
        if columns[name].dtype.kind not in "iu":
            known = f"; expected {', '.join(STATUSES)}" if name == "status" else ""
            raise BrokenError(called, f"a row has no {name}, or an unknown one{known}")
    refuse((index < 0) | (draw < 0), "a negative number")
    refuse(index >= (most or np.iinfo(np.int64).max), f"the data has {most} images")
    measured = status < STATUSES.index("not_finite")
    refuse(measured & ~(np.isfinite(error) & (error >= 0)), "relative_error is no number")


def check_copies(
    called: str, rows: Rows, columns: Mapping[str, NDArray[Any]], order: NDArray[np.int64]
) -> None:
    """Compare rows of equal index and draw: they are copies, or of one that could be read at last.

    Args:
        called: the set, in messages.
        rows: of all files.
        columns: index, draw and status of each.
        order: the first row of each index and draw.

    Raises:
        BrokenError: two that differ.
    """
    index, draw, status = (columns[name] for name in ("index", "draw", "status"))
    again = np.ones(len(index), bool)
    again[order] = False
    again &= status != STATUSES.index(UNREADABLE)
    copies = np.flatnonzero(again)
    if not len(copies):
        return
    first = {(int(index[row]), int(draw[row])): int(row) for row in order}
    names = [name for name in _SAME if name in rows.schema.names]
    for begin in range(0, len(copies), _AT_ONCE):
        some = copies[begin : begin + _AT_ONCE].tolist()
        pairs = [first[int(index[row]), int(draw[row])] for row in some]
        one, other = rows.take(pairs, names), rows.take(some, names)
        if not one.equals(other):
            row = next(i for i in range(len(some)) if not one.slice(i, 1).equals(other.slice(i, 1)))
            where = f"image {index[some[row]]}, draw {draw[some[row]]}"
            raise BrokenError(called, f"{where}: it is there twice, and not the same")


def check_hashes(
    called: str,
    index: NDArray[np.int64],
    hashes: Sequence[str | None],
    identity: Mapping[int, str | None],
) -> None:
    """Compare the canvases that rows of images that could be read name, one for each image.

    Args:
        called: the set, in messages.
        index: (n,): the image of each row.
        hashes: n: the canvas of each row.
        identity: the canvases of the first images, as the identity of the set has them.

    Raises:
        BrokenError: two canvases of one image, or another one than in the identity.
    """
    first: dict[int, str | None] = {}
    for image, digest in zip(index.tolist(), hashes, strict=True):
        if first.setdefault(image, digest) != digest:
            raise BrokenError(called, f"image {image}: its draws are of different canvases")
    for image, digest in identity.items():
        if None not in (digest, first.get(image)) and first[image] != digest:
            raise BrokenError(called, f"image {image}: its canvas is not that of the identity")
