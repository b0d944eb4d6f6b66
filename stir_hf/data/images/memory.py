"""Images that were passed in: PIL images and arrays."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from stir_hf.errors import RequestError, one_line
from stir_hf.inputs.orientation import upright


def as_seen(image: Image.Image) -> Image.Image:
    """A copy of an image in memory as viewers show it: with the orientation in its header applied,
    in a mode that a file keeps without loss, palettes and transparency included.
    """
    image = upright(image)
    if image.has_transparency_data:
        return image.convert("RGBA")
    plain = ("1", "L", "RGB", "CMYK", "I", "F")
    return image if image.mode in plain or image.mode.startswith("I;16") else image.convert("RGB")


_ACCEPTED = "PIL images or uint8 arrays of shape (h, w), (h, w, 3) or (h, w, 4)"


def as_images(given: Any) -> list[Image.Image]:
    """Images that were passed in, as `as_seen` shows them.

    Args:
        given: PIL images or uint8 arrays of shape (h, w), (h, w, 3) or (h, w, 4), or one array of
            several.

    Raises:
        RequestError: anything else; the first item that is not an image is named.
    """
    several = isinstance(given, Iterable) and not isinstance(given, str | bytes | Image.Image)
    if not several or isinstance(given, Tensor | dict | set):
        expected = f"a Hub id, a folder, a dataset or a list of {_ACCEPTED}"
        raise RequestError(f"data must be {expected}, not {type(given).__name__}")
    if isinstance(given, np.ndarray) and given.ndim == 3 and given.shape[-1] in (1, 3, 4):
        shape = given.shape
        raise RequestError(f"data of shape {shape} is one image; give a list of {_ACCEPTED}")
    images = [_image(item, i) for i, item in enumerate(given)]
    if not images:
        raise RequestError(f"data holds no images; give at least one of {_ACCEPTED}")
    return images


def _image(item: Any, place: int) -> Image.Image:
    """One image, as `as_seen` shows it."""
    if isinstance(item, Image.Image):
        try:
            if 0 in item.size:
                raise ValueError("it is empty")
            return as_seen(item)
        except MemoryError:
            raise
        except Exception as error:  # decoders raise errors of any type
            told = f"data must be images; item {place} is not an image: {one_line(error)}"
            raise RequestError(told) from error
    got = type(item).__name__
    if isinstance(item, np.ndarray):
        array = item[..., 0] if item.ndim == 3 and item.shape[2] == 1 else item
        seen = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))
        if seen and array.dtype == np.uint8 and array.size:
            return Image.fromarray(np.ascontiguousarray(array))
        got = f"{item.dtype} array of shape {item.shape}"
    raise RequestError(f"data must be images; item {place} is a {got}, expected {_ACCEPTED}")
