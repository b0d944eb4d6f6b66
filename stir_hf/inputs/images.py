"""Images as a kind of input: size, mode, storage, and values in [0, 1] as tensors."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from stir_hf.expected import ListOf, Record, Text, Whole
from stir_hf.inputs.arrow import is_file, is_floats
from stir_hf.inputs.base import Kind, kind
from stir_hf.inputs.png import check_header, png_pixels

Size = tuple[int, int]
Mode = Literal["L", "RGB"]
AppliedMap = Callable[[Tensor], Tensor]
"""A pixel map on one device, from images (b, c, h, w) in [0, 1] to network inputs."""
MODES: dict[int, Mode] = {1: "L", 3: "RGB"}

_MOST_PIXELS = 89_478_485
"""Number of pixels of the largest canvas; Pillow warns about larger images."""
_SPELLING = Record({"mode": Text(("L", "RGB")), "size": ListOf(Whole(1, 65_535), 2, 2)})


@kind
@dataclass(frozen=True)
class ImageKind(Kind):
    """Images of one mode and size, with values in [0, 1]."""

    name: ClassVar[str] = "image"
    mode: Mode
    size: Size
    """Height and width."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape (c, h, w)."""
        return (1 if self.mode == "L" else 3, *self.size)

    @property
    def bounds(self) -> tuple[float, float]:
        """The values of black and white."""
        return 0.0, 1.0

    @property
    def space(self) -> tuple[int, ...]:
        """The axes of height and width."""
        return 1, 2

    def feature(self, *, exact: bool) -> Any:
        """A column of PNG files with 8 bits per channel, or of float32 arrays."""
        import datasets

        return datasets.Array3D(self.shape, "float32") if exact else datasets.Image()

    def is_column(self, column: Any, *, exact: bool) -> bool:
        """Return True for arrays of three axes if values are exact, otherwise for files."""
        return is_floats(column, 3) if exact else is_file(column)

    def picture(self, values: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Return 8-bit pixels, (h, w) or (h, w, 3)."""
        return np.asarray(to_png(values))

    def values(self, canvas: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Turn 8-bit pixels (c, h, w) into values in [0, 1]."""
        return canvas.astype(np.float32) / np.float32(255)

    def store(self, value: NDArray[np.float32], *, exact: bool) -> Any:
        """Return (c, h, w) as a float32 array, or as an image rounded to 8 bits."""
        return np.asarray(value, np.float32) if exact else to_png(value)

    def restore(self, cell: Any) -> NDArray[np.float32]:
        """Turn a stored image or array into (c, h, w)."""
        return to_array(cell)

    def check(self, stored: bytes) -> None:
        """Raise ValueError if the header of a PNG file has another mode, size or depth."""
        check_header(stored, self.mode, self.size)

    def canvas(self, stored: bytes) -> NDArray[np.uint8]:
        """Decode a PNG file of exactly this mode and size to pixels (c, h, w).

        Raises:
            ValueError: any other file.
        """
        return png_pixels(stored, self.mode, self.size)

    def spelling(self) -> dict[str, Any]:
        """Return kind, mode and size."""
        return {"kind": self.name, "mode": self.mode, "size": list(self.size)}

    @classmethod
    def fault(cls, spelling: Mapping[str, Any], where: str) -> str | None:
        """Return the problem with the mode or size in words, or None."""
        if (fault := _SPELLING.fault(spelling, where)) is not None:
            return fault
        if math.prod(spelling["size"]) > _MOST_PIXELS:
            return f"{where}.size must be of at most {_MOST_PIXELS} pixels"
        return None

    @classmethod
    def from_spelling(cls, spelling: Mapping[str, Any]) -> "ImageKind":
        """Make a kind from its spelling."""
        height, width = spelling["size"]
        return cls(spelling["mode"], (height, width))


@dataclass(frozen=True)
class PixelMap:
    """The affine map from pixels in [0, 1] to a network's inputs: matrix · x + bias per pixel."""

    matrix: Tensor
    """Matrix (c, c), float64."""
    bias: Tensor
    """Vector (c,), float64."""

    @classmethod
    def identity(cls, channels: int) -> "PixelMap":
        """The identity map, for a network that normalises its inputs itself."""
        like: Any = {"dtype": torch.float64, "device": "cpu"}
        return cls(torch.eye(channels, **like), torch.zeros(channels, **like))

    @property
    def is_identity(self) -> bool:
        """Return whether the map is the identity."""
        eye = torch.eye(len(self.bias), dtype=torch.float64, device="cpu")
        return torch.equal(self.matrix, eye) and not bool(self.bias.any())

    def on(self, like: Tensor) -> "PixelMap":
        """The same map on the device and in the dtype of `like`, for use without copies."""
        return PixelMap(self.matrix.to(like), self.bias.to(like))

    def applied(self) -> AppliedMap:
        """The map as a function; a diagonal matrix is detected here, once."""
        matrix, bias = self.matrix, self.bias[:, None, None]
        scales = matrix.diag()[:, None, None]
        if torch.equal(matrix, matrix.diag().diag()):
            return lambda images: images * scales + bias
        return lambda images: torch.einsum("ij,bjhw->bihw", matrix, images) + bias

    def __call__(self, images: Tensor) -> Tensor:
        """Map images (b, c, h, w) in [0, 1] to network inputs of the same shape and dtype,
        differentiably.
        """
        return self.on(images).applied()(images)

    def inverse(self, inputs: Tensor) -> Tensor:
        """Map network inputs (b, c, h, w) back to pixels, float64."""
        shifted = inputs.double() - self.bias[:, None, None]
        return torch.einsum("ij,bjhw->bihw", torch.linalg.inv(self.matrix), shifted)


def resize(images: Tensor, size: Size | None) -> Tensor:
    """Resize (b, c, h, w) to `size` (antialiased, bilinear), differentiably; images of that size
    are returned unchanged.
    """
    if size is None or images.shape[2:] == size:
        return images
    return F.interpolate(images, size, mode="bilinear", align_corners=False, antialias=True)


def eight_bit(image: Image.Image) -> Image.Image:
    """Return an image with 8 bits per channel; 16-bit grey is scaled, while `convert` would clip it
    at 255.

    Raises:
        ValueError: 32-bit integers or floats, whose range is unknown.
    """
    if image.mode.startswith("I;16"):
        values = np.asarray(image, np.uint16).astype(np.float64)
        return Image.fromarray(np.rint(values / 257).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError(
            f"mode {image.mode!r} has no known range; expected 8 or 16 bits per channel"
        )
    return image


def in_mode(image: Image.Image, mode: str | None) -> Image.Image:
    """Return an image with 8 bits per channel, in the mode that its dataset declares, if any.

    Unlike `Image.convert`, which `datasets` uses, 16-bit grey is scaled instead of clipped at 255,
    and transparent pixels get a white background instead of their hidden colour.

    Raises:
        ValueError: 32-bit integers or floats, or an unknown mode.
    """
    image = eight_bit(image)
    for seen in MODES.values():
        if mode == seen:
            return as_mode(image, seen)
    deep = mode is None or mode in ("I", "F") or mode.startswith("I;16")
    return image if deep else image.convert(mode)


def as_mode(image: Image.Image, mode: Mode) -> Image.Image:
    """Return an image as L or RGB, with a white background for transparent pixels (by an alpha
    channel or a palette).

    Raises:
        ValueError: 32-bit integers or floats, whose range is unknown.
    """
    image = eight_bit(image)
    if image.has_transparency_data:
        coloured = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, coloured).convert("RGB")
    return image if image.mode == mode else image.convert(mode)


def to_array(image: Any) -> NDArray[np.float32]:
    """Turn a PIL image into float32 (c, h, w) in [0, 1]; a stored float array is unchanged."""
    array = np.asarray(image)
    if not isinstance(image, Image.Image):
        return array.astype(np.float32)
    return (array[None] if array.ndim == 2 else array.transpose(2, 0, 1)).astype(
        np.float32
    ) / np.float32(255)


def to_png(pixels: NDArray[np.float32]) -> Image.Image:
    """Turn (c, h, w) in [0, 1] into an image, rounded to 8 bits."""
    array = np.rint(pixels * 255).clip(0, 255).astype(np.uint8)
    return Image.fromarray(array[0] if len(array) == 1 else array.transpose(1, 2, 0))
