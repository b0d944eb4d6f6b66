"""The PNG files of an inversion set: 8 bits per channel and no metadata."""

import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stir_hf.inputs.formats import open_image, too_large

_BEGINS = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
_HEADER = len(_BEGINS) + 17
"""Number of bytes before the first chunk after the header."""
_PIXELS = (b"IDAT", b"IEND")
"""The names of the chunks that may follow the header."""
_COLOURS = {"L": 0, "RGB": 2}
_NAMES = {0: "L", 2: "RGB", 3: "P", 4: "LA", 6: "RGBA"}


def png_pixels(data: bytes, mode: str, size: tuple[int, int]) -> NDArray[np.uint8]:
    """The pixels (c, h, w) of a PNG file of mode L or RGB and size (h, w), whose header and chunks
    are checked before it is decoded.

    Raises:
        ValueError: another format, mode, depth or size; a broken file, or one with metadata.
    """
    check_header(data, mode, size)
    more = next((name for name in _chunks(data) if name not in _PIXELS), None)
    if more is not None:
        raise ValueError(f"it holds more than pixels: {more.decode('ascii', 'replace')}")
    try:
        with open_image(io.BytesIO(data), formats=("PNG",)) as image:
            array = np.asarray(image)
    except (OSError, SyntaxError, EOFError, struct.error, zlib.error) as error:
        raise ValueError(f"it is a PNG that cannot be decoded ({error})") from error
    except Image.DecompressionBombError as error:
        raise ValueError(too_large(error)) from error
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def _chunks(data: bytes) -> Iterator[bytes]:
    """The names of the chunks after the header."""
    place = _HEADER
    while place + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, place)
        yield name
        place += length + 12


def check_header(data: bytes, mode: str, size: tuple[int, int]) -> None:
    """Raise ValueError unless the first bytes of a file are those of a PNG of this mode and size
    with 8 bits per channel.
    """
    height, width = size
    header = struct.pack(">IIBB", width, height, 8, _COLOURS[mode])
    if not data.startswith(_BEGINS + header):
        raise ValueError(f"{_said(data)}, not a PNG of {width}x{height}, {mode}, 8 bits")


def _said(data: bytes) -> str:
    if not data.startswith(_BEGINS) or len(data) < len(_BEGINS) + 10:
        return "it is no PNG"
    width, height, depth, colour = struct.unpack_from(">IIBB", data, len(_BEGINS))
    return f"it is a PNG of {width}x{height}, {_NAMES.get(colour, '?')}, {depth} bits"
