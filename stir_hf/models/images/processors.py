"""An image processor, learnt by probing it.

A processor maps the channels of an image by an affine map (rescaling, normalisation, channel
order), which is learnt from images of one solid colour. Its geometry is learnt from the shape of
its output.
"""

import inspect
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from stir_hf.errors import RequestError, RunError, is_out_of_memory, one_line
from stir_hf.inputs.images import MODES, PixelMap, Size, as_mode
from stir_hf.models.images.pixels import Pixels, Process, picture

_OTHER_COLOURS = (
    "the image processor {} does more to colours than rescale, shift and mix channels, or loses"
    " one, so no image can be made from its output; correct rescale_factor, image_mean and"
    " image_std in preprocessor_config.json"
)
TIMES = 8
"""Number of calls of a transform on the same image: a random flip agrees every second time."""


def understand(processor: Any, channels: int, size: Size | None = None) -> Pixels:
    """Learn an image processor of `transformers` by probing it.

    Args:
        processor: called as `processor(image, return_tensors="pt")["pixel_values"]`, which also
            works for those of timm; or a transform from a PIL image to a tensor (c, h, w). A
            processor that needs boxes gets one around the whole image.
        channels: number of channels of the network, 1 or 3.
        size: the network's native size, for a processor whose output size varies with its input.

    Raises:
        RequestError: the processor does not run here, or is not an affine map of pixels (patches,
            colour clusters, …).
        RunError: too little memory.
    """

    called = type(processor).__name__

    def process(image: Image.Image) -> np.ndarray:
        output = np.asarray(_pixel_values(processor, image))
        if output.ndim != 4 or output.shape[1] != channels:
            raise RequestError(
                f"{called} gives shape {output.shape}, not (1, {channels}, height, width)"
            )
        return np.asarray(output[0])

    primaries = np.diag([255] * channels).tolist()
    check = [200, 40, 120][:channels]

    try:
        sizes = {_size(process(_solid([0] * channels, side))) for side in (97, 161, 375)}
        black, found, *columns = (
            _centre(process(_solid(colour, 128))) for colour in ([0] * channels, check, *primaries)
        )
    except RequestError:
        raise
    except Exception as error:  # processors fail in many ways
        if is_out_of_memory(error):
            raise RunError(f"out of memory in the image processor {called}") from error
        raise RequestError(f"{called} cannot process an image here: {one_line(error)}") from error
    times = 1 if hasattr(processor, "to_dict") else TIMES
    _check_repeats(process, channels, called, times)
    matrix = np.stack([column - black for column in columns], axis=1)
    expected = matrix @ (np.array(check) / 255) + black
    if not np.allclose(found, expected, atol=1e-4) or np.linalg.matrix_rank(matrix) < channels:
        another = ", or give another: load_encoder(model, processor=…)"
        raise RequestError(_OTHER_COLOURS.format(called), another)
    pixel_map = PixelMap(torch.from_numpy(matrix), torch.from_numpy(black))
    boxed = _takes_boxes(processor)
    notes = (f"{called} is given one box, the whole image",) if boxed else ()
    pixels = Pixels(process, pixel_map, channels, processor=called, notes=notes)
    pixels = _with_geometry(pixels, sizes, size)
    return replace(pixels, rounds=_off_eight_bits(pixels.values(picture(500, 375))))


def _with_geometry(pixels: Pixels, sizes: set[Size], size: Size | None) -> Pixels:
    """The preprocessing with its native size, which may crop or resize images for it."""
    process = pixels.process
    if len(sizes) == 1:
        (size,) = sizes
    elif size is not None:
        process = _resized(process, size)
        given = _size(process(_solid([0] * pixels.channels, 97)))
        if given != size:
            height, width = size
            note = (
                f"{pixels.processor} gives another size for another size; images are cropped to"
                f" their middle square and resized to {height}x{width} before it"
            )
            notes = (*pixels.notes, note)
            return replace(pixels, process=process, extent=given, squares=True, notes=notes)
    squares = _fills_up(process, pixels.map, pixels.channels)
    return replace(pixels, process=process, extent=size, squares=squares)


def _check_repeats(process: Process, channels: int, called: str, times: int) -> None:
    """Raise RequestError if the outputs of several calls on one image differ."""
    image = as_mode(picture(500, 375), MODES[channels])
    first = process(image)
    for _ in range(times):
        again = process(image)
        if again.shape != first.shape or not np.array_equal(again, first):
            raise RequestError(
                f"{called} is random: its outputs for one image differ; pass the transform for"
                " evaluation"
            )


def _pixel_values(processor: Any, image: Image.Image) -> Any:
    """The output of a processor or transform for one image, (1, c, h, w)."""
    if _takes_boxes(processor):
        boxes = [[[0, 0, *image.size]]]
        return processor(image, boxes=boxes, return_tensors="pt")["pixel_values"]
    try:
        found = processor(image, return_tensors="pt")
    except TypeError:  # a transform takes only the image
        found = processor(image)
    return found[None] if isinstance(found, torch.Tensor | np.ndarray) else found["pixel_values"]


def _takes_boxes(processor: Any) -> bool:
    """Return whether the processor requires boxes, as those of pose estimators do."""
    preprocess = getattr(processor, "preprocess", None)
    if preprocess is None:
        return False
    boxes = inspect.signature(preprocess).parameters.get("boxes")
    return boxes is not None and boxes.default is boxes.empty


def _off_eight_bits(values: Tensor) -> bool:
    """Return whether 8 bits cannot represent some of these values in [0, 1]."""
    levels = values.double() * 255
    return bool((levels - levels.round()).abs().max() > 0.05)


def _fills_up(process: Process, pixel_map: PixelMap, channels: int) -> bool:
    """Return whether 8 bits cannot represent the colour that a wide white image is padded with."""
    wide = Image.new(MODES[channels], (161, 97), "white")
    try:
        filled = pixel_map.inverse(torch.from_numpy(process(wide))[None])
    except Exception:  # processors fail in many ways, but all take squares
        return True
    return _off_eight_bits(filled)


def _resized(process: Process, size: Size) -> Process:
    """Put a bilinear resize to the native size before a processor that keeps the size."""
    return lambda image: process(image.resize(size[::-1], Image.Resampling.BILINEAR))


def _solid(colour: list[int], side: int) -> Image.Image:
    return Image.new(MODES[len(colour)], (side, side), tuple(colour))


def _size(array: np.ndarray) -> Size:
    return array.shape[1], array.shape[2]


def _centre(array: np.ndarray) -> np.ndarray:
    return array[:, array.shape[1] // 2, array.shape[2] // 2].astype(np.float64)
