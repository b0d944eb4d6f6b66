"""One image as a dataset stores it: the bytes of its file, or the path or URL of the file."""

import errno
import hashlib
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from zipfile import BadZipFile

import pyarrow as pa
import pyarrow.compute as pc
from datasets.utils.file_utils import xopen
from huggingface_hub.errors import HfHubHTTPError
from PIL import Image, UnidentifiedImageError

from stir_hf.errors import RequestError, one_line
from stir_hf.hub import is_unreachable
from stir_hf.inputs.formats import open_image, too_large
from stir_hf.inputs.images import eight_bit
from stir_hf.inputs.orientation import is_on_its_side, upright
from stir_hf.pointers import pointer_at, pointer_in

_OURS = {errno.EMFILE, errno.ENFILE, errno.EIO, errno.ENOSPC, errno.ENOMEM, errno.ESTALE}
"""Codes of errors that the machine causes, not the image."""

MOST_BYTES: ContextVar[int | None] = ContextVar("MOST_BYTES", default=None)
"""Bytes of an image file that the rows of a stream may hold; None for any number."""


def check_bytes(data: bytes) -> None:
    """Raise RequestError for an image file of more than `MOST_BYTES`."""
    if (most := MOST_BYTES.get()) is not None and len(data) > most:
        raise RequestError(
            f"an image file of the dataset has {len(data) / 1e6:.0f} MB; at most"
            f" {most // 1_000_000} MB are taken here"
        )


def is_inside(named: str, root: str) -> bool:
    """Return whether a stored image names a file below `root`, a folder or URL: the file itself, or
    a member of a zip archive there.
    """
    *members, file = named.split("::")
    plain = ".." not in re.split(r"[/\\]|::", named)
    return plain and file.startswith(f"{root}/") and all(m.startswith("zip://") for m in members)


def check_inside(named: str, roots: Sequence[str]) -> None:
    """Raise RequestError if a stored image of a repo names a file outside of all `roots`."""
    if not any(is_inside(named, root) for root in roots):
        raise RequestError(f"the dataset names a file outside of its repo: {named}")


def check_files(images: pa.ChunkedArray, roots: Sequence[str]) -> None:
    """Call `check_inside` for all files that stored images name."""
    named = files_named(images)
    plain = "|".join(re.escape(root) for root in roots if ":" not in root) or "$^"
    inside = pc.match_substring_regex(named, rf"^(zip://[^:]*::)*({plain})/[^:]*$")
    certain = pc.and_not(inside, pc.match_substring(named, ".."))
    for name in named.filter(pc.invert(certain)).to_pylist():
        check_inside(name, roots)


def files_named(images: pa.ChunkedArray) -> pa.ChunkedArray:
    """The files that stored images without bytes name."""
    length = pc.fill_null(pc.binary_length(pc.struct_field(images, "bytes")), 0)
    paths = pc.struct_field(images, "path").filter(pc.equal(length, 0)).cast(pa.large_string())
    return paths.filter(pc.greater(pc.binary_length(paths), 0))


def _check_there(cell: Any) -> None:
    """Raise ValueError if there is no image; empty bytes are no image, even next to a path."""
    if cell is None or cell["bytes"] == b"" or not (cell["bytes"] or cell["path"]):
        raise ValueError("there is none")


def _opened(cell: Any) -> Image.Image:
    """Open a stored image lazily; an image at a URL or in an archive is read as a whole."""
    path = cell["path"]
    if cell["bytes"] is not None:
        return open_image(io.BytesIO(cell["bytes"]))
    if "://" not in path:
        return open_image(path)
    with xopen(path, "rb") as file:
        return open_image(io.BytesIO(file.read()))


@contextmanager
def _pointers_told(cell: Any) -> Iterator[None]:
    """Raise ValueError in place of Pillow's error if the file is a git-lfs or git-annex pointer."""
    try:
        yield
    except UnidentifiedImageError:
        held = cell["bytes"] is not None
        if told := pointer_in(cell["bytes"]) if held else pointer_at(cell["path"]):
            raise ValueError(f"it {told}") from None
        raise


def decoded(cell: Any) -> Image.Image:
    """Decode a stored image and apply the orientation in its header; decoders raise errors of any
    type. Unlike `datasets`, only the formats in `stir_hf.inputs.formats.READ` are decoded.
    """
    _check_there(cell)
    with _pointers_told(cell), _opened(cell) as file:
        file.load()
        return upright(file)


def size_of(cell: Any) -> tuple[int, int]:
    """The size (h, w) that the header of a stored image gives, without decoding it.

    Raises:
        ValueError: there is no image, or its values have no known range.
    """
    _check_there(cell)
    with _pointers_told(cell), _opened(cell) as image:
        if image.mode in ("I", "F"):
            eight_bit(image)
        return image.size if is_on_its_side(image) else image.size[::-1]


def decoded_and_hashed(cell: Any) -> tuple[Image.Image, str | None]:
    """Return `decoded` and `hash_of_file` of a stored image, reading its file once."""
    data = _bytes_of(cell)
    if data is None:
        return decoded(cell), None
    try:
        image = decoded({**cell, "bytes": data})
    except Exception:  # decoders raise errors of any type, which name the file
        image = decoded(cell)
    return image, _hash(data)


def hash_of_file(cell: Any) -> str | None:
    """Hash the encoded bytes of a stored image to 16 hexadecimal digits; None if there is no image,
    or it cannot be read, or it would have to be fetched.
    """
    data = _bytes_of(cell)
    return None if data is None else _hash(data)


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _bytes_of(cell: Any) -> bytes | None:
    try:
        _check_there(cell)
        if cell["bytes"] is not None:
            held: bytes = cell["bytes"]
            return held
        if "://" in cell["path"] and not cell["path"].startswith("zip://"):
            return None
        with xopen(cell["path"], "rb") as file:
            found: bytes = file.read()
            return found
    except (OSError, ValueError, KeyError, BadZipFile):
        return None


def is_ours(error: Exception) -> bool:
    """Return whether the machine, the network or the Hub failed, and not the image."""
    if isinstance(error, MemoryError | HfHubHTTPError):
        return True
    return getattr(error, "errno", None) in _OURS or is_unreachable(error)


def is_denied(error: Exception) -> bool:
    """Return True where this user may not read a file."""
    return getattr(error, "errno", None) in (errno.EACCES, errno.EPERM)


def reason(error: Exception) -> str:
    """The reason why an image cannot be read, in one line that is the same each time."""
    if isinstance(error, Image.DecompressionBombError):
        return too_large(error)
    return re.sub(r" <[^<>]* object at 0x[0-9a-fA-F]+>", "", one_line(error))
