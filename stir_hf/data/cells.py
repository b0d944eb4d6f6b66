"""One image as a dataset stores it: the bytes of its file, or where the file is."""

import re
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from stir_hf.errors import RequestError


def is_inside(named: str, root: str) -> bool:
    """Whether a stored image names a file below `root`, a folder or an address: the file itself,
    or a member of a zip archive there.
    """
    *members, file = named.split("::")
    plain = ".." not in re.split(r"[/\\]|::", named)
    return plain and file.startswith(f"{root}/") and all(m.startswith("zip://") for m in members)


def check_inside(named: str, roots: Sequence[str]) -> None:
    """Raise RequestError where a stored image of a repo names a file that is not below one of
    `roots`.
    """
    if not any(is_inside(named, root) for root in roots):
        raise RequestError(f"the dataset names a file outside of its repo: {named}")


def files_named(images: pa.ChunkedArray) -> list[str]:
    """The files that stored images without bytes name."""
    length = pc.fill_null(pc.binary_length(pc.struct_field(images, "bytes")), 0)
    paths = pc.struct_field(images, "path").filter(pc.equal(length, 0))
    return [str(path) for path in paths.to_pylist() if path]


def check_there(cell: Any) -> None:
    """Raise ValueError where there is no image; empty bytes are none, whatever file is named."""
    if cell is None or cell["bytes"] == b"" or not (cell["bytes"] or cell["path"]):
        raise ValueError("there is none")
