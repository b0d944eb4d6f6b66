"""Images as tensors: values in [0, 1], their size, and how they are stored and read back."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

Size = tuple[int, int]
MODES = {1: "L", 3: "RGB"}


@dataclass(frozen=True)
class PixelMap:
    """The affine map from pixels in [0, 1] to what a network is fed: y = matrix · x + bias, per pixel."""

    matrix: Tensor
    """(c, c), float64."""
    bias: Tensor
    """(c,), float64."""

    @classmethod
    def identity(cls, channels: int) -> "PixelMap":
        """For a network that brings its own normalisation."""
        return cls(
            torch.eye(channels, dtype=torch.float64), torch.zeros(channels, dtype=torch.float64)
        )

    def __call__(self, images: Tensor) -> Tensor:
        """Images (b, c, h, w) in [0, 1] to network inputs of the same shape and dtype, differentiable."""
        matrix, bias = self.matrix.to(images), self.bias.to(images)[:, None, None]
        if torch.equal(self.matrix, self.matrix.diag().diag()):
            return images * matrix.diag()[:, None, None] + bias
        return torch.einsum("ij,bjhw->bihw", matrix, images) + bias

    def inverse(self, inputs: Tensor) -> Tensor:
        """Network inputs (b, c, h, w) back to pixels, float64."""
        shifted = inputs.double() - self.bias[:, None, None]
        return torch.einsum("ij,bjhw->bihw", torch.linalg.inv(self.matrix), shifted)


def resize(images: Tensor, size: Size | None) -> Tensor:
    """Antialiased bilinear resize of (b, c, h, w) to `size`, differentiable; nothing is done at that size already."""
    if size is None or images.shape[2:] == size:
        return images
    return F.interpolate(images, size, mode="bilinear", align_corners=False, antialias=True)


def eight_bit(image: Image.Image) -> Image.Image:
    """An image with 8 bits per channel: 16-bit grey is scaled, which `convert` would cut off at 255.

    Raises:
        ValueError: 32-bit integers or floats, whose range is not known.
    """
    if image.mode.startswith("I;16"):
        values = np.asarray(image, np.uint16).astype(np.float64)
        return Image.fromarray(np.rint(values / 257).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError(
            f"mode {image.mode!r} has no known range; expected 8 or 16 bits per channel"
        )
    return image


def to_array(image: Any) -> NDArray[np.float32]:
    """A PIL image, uint8 (h, w) or (h, w, c), or a stored float array, as float32 (c, h, w) in [0, 1]."""
    array = np.asarray(image)
    if not isinstance(image, Image.Image):
        return array.astype(np.float32)
    return (array[None] if array.ndim == 2 else array.transpose(2, 0, 1)).astype(
        np.float32
    ) / np.float32(255)


def to_png(pixels: NDArray[np.float32]) -> Image.Image:
    """(c, h, w) in [0, 1], rounded to 8 bits."""
    array = np.rint(pixels * 255).clip(0, 255).astype(np.uint8)
    return Image.fromarray(array[0] if len(array) == 1 else array.transpose(1, 2, 0))
