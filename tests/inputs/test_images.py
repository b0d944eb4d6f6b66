"""Images as tensors: stored and read back, resized, in another mode, mapped."""

import io
import json

import datasets
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from stir_hf import RequestError
from stir_hf.inputs.base import kind_of
from stir_hf.inputs.images import MODES, ImageKind, Mode, PixelMap, as_mode, resize, to_array


def values(kind: ImageKind) -> NDArray[np.float32]:
    return np.random.default_rng(0).random(kind.shape, np.float32)


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("exact", [True, False])
def test_what_is_stored_comes_back(mode: Mode, exact: bool) -> None:
    kind = ImageKind(mode, (4, 6))
    assert list(kind.shape) == [1 if mode == "L" else 3, 4, 6]
    assert list(kind.bounds) == [0, 1]
    value = values(kind)
    features = datasets.Features(x=kind.feature(exact=exact))
    rows = datasets.Dataset.from_list([{"x": kind.store(value, exact=exact)}], features=features)
    found = kind.restore(rows[0]["x"])
    assert found.dtype == np.float32
    expected = value if exact else np.rint(value * 255).astype(np.float32) / np.float32(255)
    assert np.array_equal(found, expected)
    assert np.array_equal(kind.restore(rows.with_format("numpy")[0]["x"]), expected) or not exact
    assert np.array_equal(kind.restore(kind.store(found, exact=exact)), found)


def test_a_kind_is_spelt_as_json() -> None:
    kind = ImageKind("L", (28, 20))
    assert kind_of(json.loads(json.dumps(kind.spelling()))) == kind
    with pytest.raises(RequestError, match="kind 'sound' are unknown"):
        kind_of({"kind": "sound"})


HIDDEN, SHOWN = (200, 10, 60), (40, 80, 120)


def half_hidden(mode: str) -> Image.Image:
    """Two pixels: one transparent, whose colour is hidden, and one opaque."""
    image = Image.new("RGBA", (2, 1))
    image.putpixel((0, 0), (*HIDDEN, 0))
    image.putpixel((1, 0), (*SHOWN, 255))
    if mode == "P":
        palette = Image.new("P", (2, 1))
        palette.putpalette([*HIDDEN, *SHOWN])
        palette.putpixel((1, 0), 1)
        file = io.BytesIO()
        palette.save(file, "PNG", transparency=0)
        return Image.open(io.BytesIO(file.getvalue()))
    if mode == "tRNS":
        plain = image.convert("RGB")
        file = io.BytesIO()
        plain.save(file, "PNG", transparency=HIDDEN)
        return Image.open(io.BytesIO(file.getvalue()))
    if mode == "PA":  # `convert("PA")` keeps the alpha channel from Pillow 12 on only
        indexed = Image.new("PA", (2, 1))
        indexed.putpalette([*HIDDEN, *SHOWN])
        indexed.putpixel((0, 0), (0, 0))
        indexed.putpixel((1, 0), (1, 255))
        return indexed
    return image.convert(mode)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "P", "tRNS"])
def test_what_is_transparent_shows_white(mode: str) -> None:
    image = half_hidden(mode)
    shown = Image.new("RGB", (1, 1), SHOWN)
    shown = shown.convert("L").convert("RGB") if mode == "LA" else shown
    if mode == "PA":
        shown = image.convert("RGB").crop((1, 0, 2, 1))
    found = as_mode(image, "RGB")
    assert found.mode == "RGB"
    assert found.getpixel((0, 0)) == (255, 255, 255)
    assert found.getpixel((1, 0)) == shown.getpixel((0, 0))
    grey = as_mode(image, "L")
    assert grey.mode == "L"
    assert grey.getpixel((0, 0)) == 255
    assert grey.getpixel((1, 0)) == shown.convert("L").getpixel((0, 0))


def test_half_transparent_is_half_white() -> None:
    image = Image.new("RGBA", (1, 1), (0, 100, 200, 128))
    found = np.asarray(as_mode(image, "RGB"))[0, 0]
    assert np.abs(found - (np.array([0, 100, 200]) * 128 + 255 * 127) / 255).max() <= 1


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr", "HSV"])
def test_opaque_images_are_converted_as_ever(mode: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    image = Image.fromarray(noise).convert(mode)
    for wanted in MODES.values():
        found = as_mode(image, wanted)
        assert np.array_equal(np.asarray(found), np.asarray(image.convert(wanted)))


def test_sixteen_bits_are_scaled() -> None:
    deep = Image.fromarray(np.array([[0, 257, 32896, 65535]], np.uint16))
    assert np.asarray(as_mode(deep, "L")).tolist() == [[0, 1, 128, 255]]
    assert np.asarray(as_mode(deep, "RGB"))[0, 2].tolist() == [128] * 3
    with pytest.raises(ValueError, match="mode 'F' has no known range"):
        as_mode(Image.fromarray(np.ones((3, 3), np.float32)), "L")


def test_arrays_are_channels_first() -> None:
    assert to_array(Image.new("RGB", (5, 4), (255, 0, 51))).shape == (3, 4, 5)
    assert to_array(Image.new("L", (5, 4), 255)).max() == 1


def test_resize() -> None:
    images = torch.rand(1, 3, 6, 5, dtype=torch.float64, requires_grad=True)
    assert resize(images, (6, 5)) is images
    assert resize(images, None) is images
    assert resize(images, (4, 7)).shape == (1, 3, 4, 7)
    assert torch.autograd.gradcheck(lambda x: resize(x, (4, 7)), (images,))


def test_maps_are_differentiable() -> None:
    matrix = torch.tensor([[0.0, 2, 0], [1, 0, 0], [0, 0.5, 3]], dtype=torch.float64)
    images = torch.rand(1, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(PixelMap(matrix, torch.ones(3, dtype=torch.float64)), (images,))


@pytest.mark.parametrize("diagonal", [True, False])
def test_maps(diagonal: bool) -> None:
    matrix = torch.randn(3, 3, dtype=torch.float64)
    matrix = matrix.diag().diag() if diagonal else matrix
    bias = torch.randn(3, dtype=torch.float64)
    images = torch.rand(2, 3, 4, 5, dtype=torch.float64)
    expected = np.einsum("ij,bjhw->bihw", matrix.numpy(), images.numpy())
    found = PixelMap(matrix, bias)(images)
    np.testing.assert_allclose(found.numpy(), expected + bias.numpy()[:, None, None], atol=1e-12)
    assert PixelMap.identity(3).is_identity
    assert not PixelMap(matrix, bias).is_identity
