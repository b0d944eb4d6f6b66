"""The supported image formats, and the only function that opens image files."""

import re
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
"""Raster formats that Pillow decodes within this process, with a plug-in of the user for HEIF and
JXL. Formats of pages and drawings (EPS, PDF, WMF), for which Pillow runs Ghostscript or other
handlers, are never read. TGA comes last since it has no signature.
"""

_PREFIX = 16


def open_image(file: Path | str | IO[bytes], formats: tuple[str, ...] = READ) -> Image.Image:
    """Open an image file lazily with `PIL.Image.open`, which refuses images with far too many
    pixels.

    Raises:
        ValueError: a format that Pillow knows but that is not among `formats`.
        UnidentifiedImageError: not an image.
        OSError: no such file.
    """
    Image.init()
    known = [name for name in formats if name in Image.OPEN]
    try:
        return Image.open(file, formats=known)
    except UnidentifiedImageError:
        if (name := _other_format(_beginning(file))) is not None:
            raise ValueError(
                f"it is of format {name}, which is not supported; convert it to PNG"
            ) from None
        raise


def _beginning(file: Path | str | IO[bytes]) -> bytes:
    if isinstance(file, Path | str):
        with Path(file).open("rb") as opened:
            return opened.read(_PREFIX)
    file.seek(0)
    return file.read(_PREFIX)


def _other_format(prefix: bytes) -> str | None:
    """The unsupported format that the first bytes of a file indicate, without calling a decoder."""
    for name, (_, accepts) in Image.OPEN.items():
        try:
            if name not in READ and accepts is not None and accepts(prefix) is True:
                return name
        except (IndexError, struct.error):
            continue
    return "PDF" if prefix.startswith(b"%PDF") else None


def too_large(error: Image.DecompressionBombError) -> str:
    """Say in plain words what Pillow says of an image with too many pixels."""
    found = re.search(r"\((\d+) pixels\).* (\d+) pixels", str(error))
    pixels, most = found.groups() if found else ("too many", "twice Image.MAX_IMAGE_PIXELS")
    return f"it has {pixels} pixels; at most {most} are taken"
