"""Arrow types of the columns in which inputs are stored."""

import pyarrow as pa


def is_text(kind: pa.DataType) -> bool:
    """Return True for text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def is_floats(kind: pa.DataType, depth: int = 1) -> bool:
    """Return True for lists of floats, nested `depth` levels deep."""
    kind = getattr(kind, "storage_type", kind)
    if depth == 0:
        return bool(pa.types.is_floating(kind))
    listed = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return bool(listed) and is_floats(kind.value_type, depth - 1)


def is_file(kind: pa.DataType) -> bool:
    """Return True for the bytes and paths of files."""
    if not pa.types.is_struct(kind) or {field.name for field in kind} != {"bytes", "path"}:
        return False
    held, path = kind.field("bytes").type, kind.field("path").type
    binary = pa.types.is_binary(held) or pa.types.is_large_binary(held)
    return bool(binary) and (is_text(path) or bool(pa.types.is_null(path)))
