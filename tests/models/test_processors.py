"""Image processors as pixel arithmetic: the same numbers as the processors give."""

from typing import Any

import numpy as np
import pytest
import torch
import transformers
from numpy.typing import NDArray
from PIL import Image

from stir_hf import RequestError, RunError, load_encoder
from stir_hf.inputs.images import as_mode, resize
from stir_hf.models.images.pixels import Pixels, own_size
from stir_hf.models.images.pixels import picture as picture_of_processors
from stir_hf.models.images.processors import understand
from tests.tiny import noise_images

PROCESSORS: dict[str, tuple[Any, int]] = {
    "bit": (
        lambda: transformers.BitImageProcessor(
            size={"shortest_edge": 40}, crop_size={"height": 32, "width": 32}
        ),
        3,
    ),
    "vit": (lambda: transformers.ViTImageProcessor(size={"height": 32, "width": 24}), 3),
    "convnext": (lambda: transformers.ConvNextImageProcessor(size={"shortest_edge": 32}), 3),
    "mobilevit": (
        lambda: transformers.MobileViTImageProcessor(
            size={"shortest_edge": 36}, crop_size={"height": 32, "width": 32}
        ),
        3,
    ),
    "efficientnet": (
        lambda: transformers.EfficientNetImageProcessor(size={"height": 32, "width": 32}),
        3,
    ),
    "one channel": (
        lambda: transformers.ViTImageProcessor(
            size={"height": 28, "width": 28},
            image_mean=[0.3],
            image_std=[0.4],
            do_convert_rgb=False,
        ),
        1,
    ),
}


def picture(width: int, height: int, channels: int, seed: int) -> Image.Image:
    """Smooth colour with a little noise; no square."""
    rng = np.random.default_rng(seed)
    shape = (height, width) if channels == 1 else (height, width, channels)
    coarse = Image.fromarray(rng.integers(0, 256, (5, 7, *shape[2:]), dtype=np.uint8)).resize(
        (width, height)
    )
    array: NDArray[np.int64] = np.asarray(coarse) + rng.integers(-20, 20, shape)
    return Image.fromarray(array.clip(0, 255).astype(np.uint8))


@pytest.fixture(params=PROCESSORS)
def processor_and_pixels(request: pytest.FixtureRequest) -> tuple[Any, Pixels]:
    make, channels = PROCESSORS[request.param]
    processor = make()
    return processor, understand(processor, channels)


@pytest.mark.parametrize(("width", "height"), [(71, 50), (40, 90), (32, 32)])
def test_canvas_and_map_give_what_the_processor_gives(
    processor_and_pixels: tuple[Any, Pixels], width: int, height: int
) -> None:
    processor, pixels = processor_and_pixels
    image = picture(width, height, pixels.channels, seed=width)
    expected = torch.from_numpy(np.asarray(processor(image, return_tensors="np")["pixel_values"]))
    canvas = pixels.canvas(image)
    assert canvas.shape == (pixels.channels, *(pixels.extent or ()))
    found = pixels.map(torch.from_numpy(canvas)[None].float() / 255)
    torch.testing.assert_close(found, expected.float(), rtol=0, atol=1e-5)


def test_the_map_is_undone(processor_and_pixels: tuple[Any, Pixels]) -> None:
    _, pixels = processor_and_pixels
    images = torch.rand(2, pixels.channels, 4, 5, dtype=torch.float64)
    torch.testing.assert_close(pixels.map.inverse(pixels.map(images)), images)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "LA"])
def test_other_modes_are_converted(mode: str) -> None:
    pixels = understand(transformers.ViTImageProcessor(size={"height": 16, "width": 16}), 3)
    image = picture(20, 16, 3, seed=0).convert(mode)
    assert np.array_equal(pixels.canvas(image), pixels.canvas(image.convert("RGB")))
    if "A" in mode:
        image.putalpha(0)
        assert np.array_equal(pixels.canvas(image), pixels.canvas(as_mode(image, "RGB")))
        assert bool((pixels.canvas(image) == 255).all())


def test_channel_order_is_learnt() -> None:
    pixels = understand(PROCESSORS["mobilevit"][0](), 3)
    assert torch.equal(pixels.map.matrix, torch.eye(3, dtype=torch.float64).flip(0))


def test_no_processor_is_the_identity() -> None:
    pixels, image = own_size(3), picture(9, 7, 3, seed=0)
    assert pixels.extent is None
    assert np.array_equal(pixels.canvas(image), np.asarray(image).transpose(2, 0, 1))
    images = torch.rand(2, 3, 4, 5)
    assert torch.equal(pixels.map(images), images)


def test_a_processor_that_keeps_the_size_is_resized_to_the_networks() -> None:
    processor = transformers.ViTImageProcessor(do_resize=False)
    assert understand(processor, 3).extent is None
    canvas = understand(processor, 3, (24, 20)).canvas(picture(50, 40, 3, seed=0))
    assert canvas.shape == (3, 24, 20)


def test_a_transform_is_a_processor() -> None:
    """From a PIL image to a tensor (c, h, w), as torchvision's and timm's are: its size, crop and
    normalisation are taken.
    """

    def transform(image: Image.Image) -> torch.Tensor:
        image = image.resize((30, 24), Image.Resampling.BICUBIC).crop((3, 2, 27, 22))
        values = torch.from_numpy(np.array(image, np.float32)).permute(2, 0, 1) / 255
        return (values - torch.tensor([0.4, 0.5, 0.6])[:, None, None]) / 0.25

    module = torch.nn.Flatten()
    encoder = load_encoder(module, processor=transform, name="flat")
    assert encoder.extent == (20, 24)
    image = noise_images(1, 50)[0]
    values = torch.from_numpy(encoder.canvas(image))[None].float() / 255
    torch.testing.assert_close(encoder(values), transform(image).flatten()[None])


def test_a_transform_that_draws_at_random_is_refused() -> None:
    rng = np.random.default_rng(0)

    def transform(image: Image.Image) -> torch.Tensor:
        values = np.array(image.resize((24, 24)), np.float32)
        values = values[:, ::-1] if rng.random() < 0.5 else values
        return torch.from_numpy(values.copy()).permute(2, 0, 1) / 255

    with pytest.raises(RequestError, match="is random: its outputs"):
        load_encoder(torch.nn.Flatten(), processor=transform)


def test_what_is_no_map_of_pixels_is_refused() -> None:
    def squares(image: Image.Image, return_tensors: str) -> dict[str, NDArray[np.float64]]:
        array = np.asarray(image.resize((16, 16)), np.float64).transpose(2, 0, 1)
        return {"pixel_values": array[None] ** 2}

    def patches(image: Image.Image, return_tensors: str) -> dict[str, NDArray[np.float64]]:
        return {"pixel_values": np.zeros((1, 16, 48))}

    with pytest.raises(RequestError, match="does more to colours"):
        understand(squares, 3)
    with pytest.raises(RequestError, match=r"gives shape \(1, 16, 48\)"):
        understand(patches, 3)


def test_a_refusal_of_colours_says_what_to_do_without_arrays() -> None:
    def black(image: Image.Image, return_tensors: str) -> dict[str, NDArray[np.float64]]:
        return {"pixel_values": np.zeros((1, 3, 16, 16))}

    with pytest.raises(RequestError, match="does more to colours") as told:
        understand(black, 3)
    assert "correct rescale_factor, image_mean and image_std" in str(told.value)
    assert "[" not in str(told.value)


def test_a_processor_that_needs_too_much_memory_is_told() -> None:
    def large(image: Image.Image, return_tensors: str) -> dict[str, torch.Tensor]:
        return {"pixel_values": torch.empty(1, 3, 1 << 25, 1 << 25)}

    with pytest.raises(RunError, match="out of memory in the image processor"):
        understand(large, 3)


def resizes_floats(image: Image.Image) -> torch.Tensor:
    """As `Compose([ToTensor(), Resize(…), Normalize(…)])` does, and the processor of DINOv3."""
    values = torch.from_numpy(np.array(image, np.float32)).permute(2, 0, 1) / 255
    return (resize(values[None], (24, 24))[0] - 0.4) / 0.25


def resizes_bytes(image: Image.Image) -> torch.Tensor:
    image = image.resize((24, 24), Image.Resampling.BILINEAR)
    return (torch.from_numpy(np.array(image, np.float32)).permute(2, 0, 1) / 255 - 0.4) / 0.25


def test_what_the_canvas_rounds_is_measured_and_told() -> None:
    encoder = load_encoder(torch.nn.Flatten(), processor=resizes_floats)
    image = picture_of_processors(500, 375)
    meant = resizes_floats(image).flatten()
    seen = encoder(torch.from_numpy(encoder.canvas(image))[None].float() / 255)[0]
    change = float((seen - meant).norm() / meant.norm())
    assert 1e-4 < change < 1e-2
    assert encoder.notes == (
        "function gives values that 8 bits do not hold; the canvas rounds them, which changes the"
        f" representation of a picture by {change:.2%}",
    )
    torch.testing.assert_close(
        encoder.preprocessing.values(image).float(), resizes_floats(image) * 0.25 + 0.4
    )
    assert load_encoder(torch.nn.Flatten(), processor=resizes_bytes).notes == ()


def test_what_the_canvas_rounds_is_measured_at_the_size_that_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A processor that keeps the size of an image, before a network of one size."""

    def blurs(image: Image.Image) -> torch.Tensor:
        values = torch.from_numpy(np.array(image, np.float32)).permute(2, 0, 1) / 255
        padded = torch.nn.functional.pad(values[None], (1, 1, 1, 1), mode="replicate")
        return torch.nn.functional.avg_pool2d(padded, 3, 1)[0]

    linear = torch.nn.Linear(3 * 24 * 32, 8, bias=False).requires_grad_(False)
    encoder = load_encoder(torch.nn.Sequential(torch.nn.Flatten(), linear), processor=blurs)
    assert (encoder.extent, encoder.preprocessing.rounds, encoder.notes) == (None, True, ())
    encoder.find_layer((24, 32))
    image = picture_of_processors(32, 24)
    meant = linear(blurs(image).flatten())
    seen = linear(torch.from_numpy(encoder.canvas(image)).float().flatten() / 255)
    change = float((seen - meant).norm() / meant.norm())
    assert 1e-4 < change < 1e-2
    (note,) = encoder.notes
    assert note.endswith(f"changes the representation of a picture by {change:.2%}")
    monkeypatch.setattr(encoder, "session", None)  # it is measured once
    assert encoder.notes == (note,)


def test_a_change_of_the_rounding_that_is_small_is_not_told() -> None:
    linear = torch.nn.Linear(3 * 24 * 24, 4)
    torch.nn.init.constant_(linear.bias, 1e4)
    module = torch.nn.Sequential(torch.nn.Flatten(), linear)
    encoder = load_encoder(module, processor=resizes_floats)
    assert encoder.preprocessing.rounds
    assert encoder.notes == ()


def test_a_processor_that_takes_boxes_is_given_the_whole_image() -> None:
    processor: Any = transformers.VitPoseImageProcessorPil(size={"height": 32, "width": 24})
    pixels, image = understand(processor, 3), picture(71, 50, 3, seed=0)
    assert pixels.extent == (32, 24)
    assert pixels.notes == ("VitPoseImageProcessorPil is given one box, the whole image",)
    assert not pixels.rounds
    expected = processor(image, boxes=[[[0, 0, 71, 50]]], return_tensors="pt")["pixel_values"]
    canvas = torch.from_numpy(pixels.canvas(image))[None].float() / 255
    torch.testing.assert_close(pixels.map(canvas), expected.float(), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "own", "native", "rounds"),
    [("Swin2SR", (32, 32), (40, 40), False), ("ZoeDepth", (64, 64), (384, 384), True)],
)
def test_a_processor_of_many_sizes_is_given_squares_of_the_networks(
    kind: str, own: tuple[int, int], native: tuple[int, int], rounds: bool
) -> None:
    """One pads, so that another size comes out than goes in; the other pads, then resizes by the
    larger side.
    """
    processor: Any = getattr(transformers, f"{kind}ImageProcessorPil")()
    pixels = understand(processor, 3, own)
    assert (pixels.extent, pixels.rounds) == (native, rounds)
    assert pixels.notes[0].endswith(f"resized to {own[0]}x{own[1]} before it")
    for size in ((640, 480), (375, 500), (40, 40)):
        image = picture(*size, 3, seed=0)
        square = min(size)
        left, top = (size[0] - square) // 2, (size[1] - square) // 2
        square_image = image.crop((left, top, left + square, top + square))
        expected = processor(
            square_image.resize(own, Image.Resampling.BILINEAR), return_tensors="pt"
        )["pixel_values"][0]
        found = pixels.map(pixels.values(image)[None])[0].float()
        torch.testing.assert_close(found, expected.float(), rtol=0, atol=1e-5)
        assert pixels.canvas(image).shape == (3, *native)


def test_a_processor_that_rounds_sizes_down_takes_images_at_their_own() -> None:
    processor: Any = transformers.GLPNImageProcessorPil()
    pixels, image = understand(processor, 3), picture(71, 50, 3, seed=0)
    assert (pixels.extent, pixels.rounds, pixels.notes) == (None, False, ())
    expected = processor(image, return_tensors="pt")["pixel_values"]
    canvas = torch.from_numpy(pixels.canvas(image))[None].float() / 255
    assert canvas.shape[2:] == (32, 64)
    torch.testing.assert_close(pixels.map(canvas), expected.float(), rtol=0, atol=1e-5)
    assert pixels.extent_of((50, 71)) == (32, 64)
    with pytest.raises(RequestError, match="GLPNImageProcessorPil cannot process images of 28x40"):
        pixels.extent_of((28, 40))
