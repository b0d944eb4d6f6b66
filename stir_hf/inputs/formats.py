"""The image formats that are read, and the only place where image files are opened."""

import struct
from pathlib import Path
from typing import IO

from PIL import Image, UnidentifiedImageError

READ = (
    "JPEG",
    "PNG",
    "WEBP",
    "GIF",
    "BMP",
    "DIB",
    "TIFF",
    "PPM",
    "AVIF",
    "JPEG2000",
    "ICO",
    "PCX",
    "SGI",
    "HEIF",
    "JXL",
    "TGA",
)
"""Formats of pixels alone, which Pillow, or a plug-in of the user for HEIF and JXL, decodes within
this process. Those of pages and drawings (EPS, PDF, WMF), for which Pillow runs Ghostscript or a
handler of others, are never read. The last has no signature.
"""

_PREFIX = 16


def open_image(file: Path | str | IO[bytes], formats: tuple[str, ...] = READ) -> Image.Image:
    """Open an image file lazily, as `PIL.Image.open` does; headers of far too many pixels are
    refused there.

    Raises:
        ValueError: a file of a format that Pillow knows and that is not among `formats`.
        UnidentifiedImageError: no image.
        OSError: no such file.
    """
    Image.init()
    known = [name for name in formats if name in Image.OPEN]
    try:
        return Image.open(file, formats=known)
    except UnidentifiedImageError:
        if (name := _other_format(_beginning(file))) is not None:
            raise ValueError(f"it is of format {name}, which is not read; use a PNG") from None
        raise


def _beginning(file: Path | str | IO[bytes]) -> bytes:
    if isinstance(file, Path | str):
        with Path(file).open("rb") as opened:
            return opened.read(_PREFIX)
    file.seek(0)
    return file.read(_PREFIX)


def _other_format(prefix: bytes) -> str | None:
    """The format that a file begins like, among those that are not read; no decoder is called."""
    for name, (_, accepts) in Image.OPEN.items():
        try:
            if name not in READ and accepts is not None and accepts(prefix) is True:
                return name
        except (IndexError, struct.error):
            continue
    return "PDF" if prefix.startswith(b"%PDF") else None
