"""Preprocessing of images: the geometry of a processor and its differentiable arithmetic."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from stir_hf.errors import RequestError, one_line
from stir_hf.inputs.base import Kind
from stir_hf.inputs.images import MODES, ImageKind, PixelMap, Size, as_mode, resize, to_array
from stir_hf.models.preprocessing import Arithmetic, Extent, Preprocessing

Process = Callable[[Image.Image], np.ndarray]
"""Function from a PIL image to the processor's float array of shape (c, h, w)."""

_PICTURES = ((500, 375), (301, 452))
"""(width, height) of two fixed pictures that identify the geometry of a processor; not square."""


@dataclass(frozen=True)
class Pixels(Preprocessing):
    """The preprocessing of images."""

    modality: ClassVar[str] = ImageKind.name
    axes: ClassVar[tuple[str, ...]] = ("batch", "colour", "space", "space")

    process: Process
    """The map to the network's array (c, h, w); raises RequestError for another shape."""
    map: PixelMap
    """Map from channels in [0, 1] to the network's inputs, and back."""
    channels: int
    """The number of channels, 1 or 3."""
    extent: Size | None = None
    """(h, w) of the processor's output; None if it keeps the size of the image."""
    processor: str | None = None
    """The class of the processor."""
    squares: bool = False
    """True if images are cropped to their central square first, since the processor pads other
    shapes with a colour that 8 bits cannot represent, or its output size varies with the input.
    """
    rounds: bool = False
    """True if 8 bits cannot represent the values of the processor: the canvas rounds them."""
    notes: tuple[str, ...] = ()
    """Notes of a result on how the processor is called."""

    def kind(self, extent: Extent) -> ImageKind:
        """The kind of images of a size (h, w)."""
        height, width = extent
        return ImageKind(MODES[self.channels], (height, width))

    def refusal(self, kind: Kind) -> str | None:
        """The reason to refuse another kind or mode; None for images that it takes."""
        mine = MODES[self.channels]
        if isinstance(kind, ImageKind) and kind.mode != mine:
            return f"takes {mine} images; these inversions are {kind.mode!r}"
        return super().refusal(kind)

    def expected(self, values: Tensor) -> str | None:
        """The shape that a batch must have, in words; None for (b, c, h, w) of its channels."""
        fits = values.ndim == 4 and values.shape[1] == self.channels
        return None if fits else f"images (b, {self.channels}, h, w)"

    def resize(self, values: Tensor) -> Tensor:
        """Resize images to the native size (antialiased, bilinear)."""
        return resize(values, self.extent)

    def arithmetic(self, like: Tensor) -> Arithmetic | None:
        """The affine map of the channels; None if it is the identity."""
        return None if self.map.is_identity else self.map.on(like).applied()

    def canvas(self, original: Image.Image) -> NDArray[np.uint8]:
        """The image after the processor's resizing and cropping, before its arithmetic: uint8 of
        shape (c, h, w).

        An image that would come out at another size than the native one, or be padded with a
        colour that 8 bits cannot represent, is first cropped to its central square. Transparent
        pixels get a white background.

        Raises:
            RequestError: the processor's output has another size even then.
        """
        levels = (self.values(original).clamp(0, 1) * 255).round().byte()
        return np.ascontiguousarray(levels.numpy())

    def values(self, original: Image.Image) -> Tensor:
        """The canvas before it is rounded to 8 bits: float64 of shape (c, h, w), from 0 (black) to
        1 (white).

        Raises:
            RequestError: the processor's output has another size than the native one.
        """
        image = as_mode(original, MODES[self.channels])
        image = square(image) if self.squares else image
        inputs = self.process(image)
        if self.extent is not None and inputs.shape[1:] != self.extent:
            inputs = self.process(square(image))
        if self.extent is not None and inputs.shape[1:] != self.extent:
            raise RequestError(
                f"the image processor gave {inputs.shape[1:]} for an image, not its own"
                f" {self.extent}"
            )
        return self.map.inverse(torch.from_numpy(inputs)[None])[0]

    def extent_of(self, shape: Extent) -> Size:
        """The size (h, w) of the canvas of an image of a given size.

        Raises:
            RequestError: the processor does not take such images.
        """
        height, width = shape
        try:
            found = self.values(Image.new(MODES[self.channels], (width, height)))
        except ValueError as error:
            raise RequestError(
                f"{self.processor} cannot process images of {height}x{width}: {one_line(error)}"
            ) from error
        return found.shape[1], found.shape[2]

    def rounding(self, extent: Extent) -> tuple[Tensor, Tensor] | None:
        """The values of a fixed picture before and after rounding to 8 bits; for a processor that
        keeps the size of images, the picture has the size `extent`.
        """
        if not self.rounds:
            return None
        height, width = (375, 500) if self.extent else extent
        exact = self.values(picture(width, height))
        if self.extent is None and exact.shape[1:] != (height, width):
            return None  # the network may not take it
        return exact, (exact.clamp(0, 1) * 255).round() / 255

    def identity(self) -> dict[str, Any]:
        """The mode, the native size, a hash of two fixed canvases, and the map to 6 digits."""
        return {
            "canvas": {
                "mode": MODES[self.channels],
                "size": None if self.extent is None else list(self.extent),
            },
            "processor": _hash_of(self),
            "pixels": _rounded(self.map),
        }


def _hash_of(pixels: Pixels) -> str:
    """SHA-256 over the canvases that the processor makes of two fixed pictures."""
    digest = hashlib.sha256()
    for width, height in _PICTURES:
        canvas = pixels.canvas(picture(width, height)).transpose(1, 2, 0)
        digest.update(f"{canvas.shape}\n".encode())
        digest.update(canvas.tobytes())
    return digest.hexdigest()


def _rounded(pixel_map: PixelMap) -> dict[str, Any]:
    """The matrix and bias of the map to 6 digits."""
    matrix, bias = (
        np.round(values.numpy(), 6) + 0.0 for values in (pixel_map.matrix, pixel_map.bias)
    )
    return {"matrix": matrix.tolist(), "bias": bias.tolist()}


def own_size(channels: int) -> Pixels:
    """Preprocessing without a processor: images in [0, 1] at their own size."""
    return Pixels(to_array, PixelMap.identity(channels), channels)


def picture(width: int, height: int) -> Image.Image:
    """A fixed picture with smooth colours, stripes and an edge, which any resampling changes."""
    return Image.fromarray(_colours(width, height))


@lru_cache(8)
def _colours(width: int, height: int) -> NDArray[np.uint8]:
    y, x = np.mgrid[:height, :width]
    red = (x * 255) // width
    green = (y * 255) // height
    blue = np.where((x + y) % 2 == 0, (x * 7 + y * 13) % 256, 255 * (3 * x > 2 * y))
    return np.stack([red, green, blue], axis=2).astype(np.uint8)


def square(image: Image.Image) -> Image.Image:
    """The central square of an image."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))
