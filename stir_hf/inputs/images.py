"""Images as tensors: values in [0, 1], their size and mode, and how they are stored and read
back.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from stir_hf.errors import RequestError, one_line
from stir_hf.expected import ListOf, Record, Text, Whole
from stir_hf.inputs.arrow import is_file, is_floats
from stir_hf.inputs.base import kind
from stir_hf.inputs.orientation import upright
from stir_hf.inputs.png import check_header, png_pixels

Size = tuple[int, int]
Mode = Literal["L", "RGB"]
MODES: dict[int, Mode] = {1: "L", 3: "RGB"}

_MOST_PIXELS = 89_478_485
"""The pixels of the largest canvas: Pillow warns of larger images."""
_SPELLING = Record({"mode": Text(("L", "RGB")), "size": ListOf(Whole(1, 65_535), 2, 2)})


@kind
@dataclass(frozen=True)
class ImageKind:
    """Images of one mode and size, with values in [0, 1]."""

    name: ClassVar[str] = "image"
    has_context: ClassVar[bool] = False
    mode: Mode
    size: Size
    """(h, w)."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(c, h, w)."""
        return (1 if self.mode == "L" else 3, *self.size)

    @property
    def bounds(self) -> tuple[float, float]:
        """Black and white."""
        return 0.0, 1.0

    @property
    def space(self) -> tuple[int, ...]:
        """Height and width."""
        return 1, 2

    def scale(self, values: NDArray[np.float32]) -> float:  # noqa: ARG002 - a Kind
        """1: starts do not depend on the image."""
        return 1.0

    def context(self, canvas: NDArray[Any]) -> dict[str, NDArray[Any]]:  # noqa: ARG002 - a Kind
        """Nothing beside the pixels."""
        return {}

    def feature(self, *, exact: bool) -> Any:
        """A column of PNG files with 8 bits per channel, or of float32 arrays."""
        import datasets

        return datasets.Array3D(self.shape, "float32") if exact else datasets.Image()

    def is_column(self, column: Any, *, exact: bool) -> bool:
        """True for arrays of three axes where the values are exact, otherwise for files."""
        return is_floats(column, 3) if exact else is_file(column)

    def picture(self, values: NDArray[np.float32]) -> NDArray[np.uint8]:
        """8-bit pixels, (h, w) or (h, w, 3)."""
        return np.asarray(to_png(values))

    def values(self, canvas: NDArray[np.uint8]) -> NDArray[np.float32]:
        """8-bit pixels (c, h, w) as values in [0, 1]."""
        return canvas.astype(np.float32) / np.float32(255)

    def store(self, value: NDArray[np.float32], *, exact: bool) -> Any:
        """(c, h, w) as float32, or as an image rounded to 8 bits."""
        return np.asarray(value, np.float32) if exact else to_png(value)

    def restore(self, cell: Any) -> NDArray[np.float32]:
        """A stored image or array as (c, h, w)."""
        return to_array(cell)

    def check(self, stored: bytes) -> None:
        """Raise ValueError where the header of a PNG file tells of another mode, size or depth."""
        check_header(stored, self.mode, self.size)

    def canvas(self, stored: bytes) -> NDArray[np.uint8]:
        """(c, h, w): the pixels of a PNG file of exactly this mode and size.

        Raises:
            ValueError: anything else.
        """
        return png_pixels(stored, self.mode, self.size)

    def spelling(self) -> dict[str, Any]:
        """Kind, mode and size."""
        return {"kind": self.name, "mode": self.mode, "size": list(self.size)}

    @classmethod
    def fault(cls, spelling: Mapping[str, Any], where: str) -> str | None:
        """What is wrong with mode or size."""
        if (fault := _SPELLING.fault(spelling, where)) is not None:
            return fault
        if math.prod(spelling["size"]) > _MOST_PIXELS:
            return f"{where}.size must be of at most {_MOST_PIXELS} pixels"
        return None

    @classmethod
    def from_spelling(cls, spelling: Mapping[str, Any]) -> "ImageKind":
        """The inverse of `spelling`."""
        height, width = spelling["size"]
        return cls(spelling["mode"], (height, width))


@dataclass(frozen=True)
class PixelMap:
    """The affine map from pixels in [0, 1] to what a network is fed: y = matrix · x + bias, per
    pixel.
    """

    matrix: Tensor
    """(c, c), float64."""
    bias: Tensor
    """(c,), float64."""

    @classmethod
    def identity(cls, channels: int) -> "PixelMap":
        """For a network that brings its own normalisation."""
        like: Any = {"dtype": torch.float64, "device": "cpu"}
        return cls(torch.eye(channels, **like), torch.zeros(channels, **like))

    @property
    def is_identity(self) -> bool:
        """Whether nothing is done."""
        eye = torch.eye(len(self.bias), dtype=torch.float64, device="cpu")
        return torch.equal(self.matrix, eye) and not bool(self.bias.any())

    def on(self, like: Tensor) -> "PixelMap":
        """The same map with tensors of the device and dtype of `like`, so that applying it copies
        nothing.
        """
        return PixelMap(self.matrix.to(like), self.bias.to(like))

    def applied(self) -> "AppliedMap":
        """The map as a function; whether the matrix is diagonal is decided here, once."""
        diagonal = self.matrix.diag()
        scales = torch.equal(self.matrix, diagonal.diag())
        return AppliedMap(
            diagonal[:, None, None] if scales else self.matrix, self.bias[:, None, None]
        )

    def __call__(self, images: Tensor) -> Tensor:
        """Images (b, c, h, w) in [0, 1] to network inputs of the same shape and dtype,
        differentiable.
        """
        return self.on(images).applied()(images)

    def inverse(self, inputs: Tensor) -> Tensor:
        """Network inputs (b, c, h, w) back to pixels, float64."""
        shifted = inputs.double() - self.bias[:, None, None]
        return torch.einsum("ij,bjhw->bihw", torch.linalg.inv(self.matrix), shifted)


@dataclass(frozen=True)
class AppliedMap:
    """A pixel map on one device, as a function."""

    factor: Tensor
    """(c, c), or a scale for each channel, (c, 1, 1)."""
    bias: Tensor
    """(c, 1, 1)."""

    def __call__(self, images: Tensor) -> Tensor:
        """Images (b, c, h, w) in [0, 1] to network inputs of the same shape."""
        if self.factor.ndim == 3:
            return images * self.factor + self.bias
        return torch.einsum("ij,bjhw->bihw", self.factor, images) + self.bias


def resize(images: Tensor, size: Size | None) -> Tensor:
    """Antialiased bilinear resize of (b, c, h, w) to `size`, differentiable; nothing is done at
    that size already.
    """
    if size is None or images.shape[2:] == size:
        return images
    return F.interpolate(images, size, mode="bilinear", align_corners=False, antialias=True)


def as_seen(image: Image.Image) -> Image.Image:
    """A copy of an image in memory as it is seen: turned as its header says, in a mode that a file
    keeps without loss, palettes and transparency included.
    """
    image = upright(image)
    if image.has_transparency_data:
        return image.convert("RGBA")
    plain = ("1", "L", "RGB", "CMYK", "I", "F")
    return image if image.mode in plain or image.mode.startswith("I;16") else image.convert("RGB")


_ACCEPTED = "PIL images or uint8 arrays of shape (h, w), (h, w, 3) or (h, w, 4)"


def as_images(given: Any) -> list[Image.Image]:
    """Images that were handed in, as they are seen.

    Args:
        given: PIL images or uint8 arrays of shape (h, w), (h, w, 3) or (h, w, 4), or one array of
            several.

    Raises:
        RequestError: anything else; the first item that is none is named.
    """
    several = isinstance(given, Iterable) and not isinstance(given, str | bytes | Image.Image)
    if not several or isinstance(given, Tensor | dict | set):
        kind = type(given).__name__
        raise RequestError(
            f"data must be a Hub id, a folder, a dataset or a list of {_ACCEPTED}, not {kind}"
        )
    if isinstance(given, np.ndarray) and given.ndim == 3 and given.shape[-1] in (1, 3, 4):
        shape = given.shape
        raise RequestError(f"data of shape {shape} is one image; give a list of {_ACCEPTED}")
    images = [_image(item, i) for i, item in enumerate(given)]
    if not images:
        raise RequestError(f"data holds no images; give at least one of {_ACCEPTED}")
    return images


def _image(item: Any, place: int) -> Image.Image:
    """One image as it is seen."""
    if isinstance(item, Image.Image):
        try:
            if 0 in item.size:
                raise ValueError("it is empty")
            return as_seen(item)
        except MemoryError:
            raise
        except Exception as error:  # decoders raise what they like
            told = one_line(error)
            raise RequestError(f"data must be images; item {place} is none: {told}") from error
    got = type(item).__name__
    if isinstance(item, np.ndarray):
        array = item[..., 0] if item.ndim == 3 and item.shape[2] == 1 else item
        seen = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))
        if seen and array.dtype == np.uint8 and array.size:
            return Image.fromarray(np.ascontiguousarray(array))
        got = f"{item.dtype} array of shape {item.shape}"
    raise RequestError(f"data must be images; item {place} is a {got}, expected {_ACCEPTED}")


def eight_bit(image: Image.Image) -> Image.Image:
    """An image with 8 bits per channel: 16-bit grey is scaled, which `convert` would cut off at
    255.

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


def in_mode(image: Image.Image, mode: str | None) -> Image.Image:
    """An image with 8 bits per channel in the mode that its dataset declares, if it declares one.

    Unlike `Image.convert`, which `datasets` uses: 16-bit grey is scaled, not cut off at 255, and
    what is transparent shows white behind it, not the colour that its pixels happen to have.

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
    """An image as L or RGB. What is transparent, by an alpha channel or a palette, shows white
    behind it.

    Raises:
        ValueError: 32-bit integers or floats, whose range is not known.
    """
    image = eight_bit(image)
    if image.has_transparency_data:
        coloured = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, coloured).convert("RGB")
    return image if image.mode == mode else image.convert(mode)


def to_array(image: Any) -> NDArray[np.float32]:
    """A PIL image as float32 (c, h, w) in [0, 1]; a stored float array as it is."""
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
