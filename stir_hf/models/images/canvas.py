"""What a checkpoint's image processor makes of an image, without the checkpoint's weights."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stir_hf.inputs.images import MODES
from stir_hf.models.images.image_processors import given_processor
from stir_hf.models.images.processors import understand


def canvas_maker(
    model: str, mode: str, size: tuple[int, int], *, trust_remote_code: bool
) -> Callable[[Image.Image], NDArray[np.uint8]]:
    """From an image to the canvas of a network, uint8 (c, h, w); see `Encoder.canvas`.

    Args:
        model: Hub id, `id@revision` or folder; its configuration files alone are fetched.
        mode: of the canvas, RGB or L.
        size: (h, w) of the canvas.
        trust_remote_code: whether code that the checkpoint brings may be run.

    Raises:
        RequestError: no such model, or no image processor that loads here.
    """
    channels = next(n for n, name in MODES.items() if name == mode)
    processor = given_processor(model, trust_remote_code=trust_remote_code)
    pixels = understand(processor, channels, size)

    def make(image: Image.Image) -> NDArray[np.uint8]:
        return np.ascontiguousarray(pixels.canvas(image).transpose(2, 0, 1))

    return make
