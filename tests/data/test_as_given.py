"""Images however they come: the same pixels by every way."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from stir_hf import RequestError, RunError, compare, load_encoder
from stir_hf.data.images import cells
from stir_hf.data.images.memory import as_images
from stir_hf.data.sources.samples import UnreadableError, open_samples
from stir_hf.data.sources.spec import DataSpec, described
from stir_hf.inputs.images import as_mode
from tests.conftest import TinyModels
from tests.tiny import QUICK, Net, noise_images

COLUMN = datasets.Features(image=datasets.Image())
TURNED: dict[int, Callable[[Any], Any]] = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.transpose(1, 0, 2),
    6: lambda x: x[::-1].transpose(1, 0, 2),
    7: lambda x: x[::-1, ::-1].transpose(1, 0, 2),
    8: lambda x: x.transpose(1, 0, 2)[::-1],
}
"""What each orientation of EXIF shows of the stored pixels (h, w, 3)."""


def seen(data: Any, **options: Any) -> list[np.ndarray]:
    """The images as they reach a processor, in the order of their index."""
    samples = open_samples(data, DataSpec(**{**described(data), **options}))
    found = {s.index: np.asarray(s.original) for s in map(samples.read, range(len(samples)))}
    return [found[i] for i in sorted(found)]


def streamed(images: list[Any], features: datasets.Features | None = COLUMN) -> Any:
    return datasets.IterableDataset.from_generator(
        lambda: ({"image": image} for image in images), features=features
    )


WAYS: dict[str, Callable[[list[Image.Image], Path], Any]] = {
    "list": lambda images, _: images,
    "column": lambda images, _: datasets.Dataset.from_dict({"image": images}, features=COLUMN),
    "stream": lambda images, _: streamed(images),
    "folder": lambda _, folder: str(folder),
}


def odd_images() -> dict[str, Image.Image]:
    """One image of each mode that a file can have."""
    colour = noise_images(1)[0]
    clear = colour.copy()
    clear.putalpha(Image.linear_gradient("L").resize(colour.size))
    palette = colour.convert("P", palette=Image.Palette.ADAPTIVE)
    palette.info["transparency"] = 3
    deep = np.random.default_rng(0).integers(0, 65536, (8, 8), dtype=np.uint16)
    modes = {mode: colour.convert(mode) for mode in ("1", "L", "CMYK", "HSV", "YCbCr", "LAB")}
    extra = {"RGBA": clear, "LA": clear.convert("LA"), "P": palette}
    return {**modes, **extra, "I;16": Image.fromarray(deep)}


@pytest.mark.usefixtures("unclosed_files")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["jpg", "png"])
def test_photographs_are_turned_however_they_come(way: str, kind: str, tmp_path: Path) -> None:
    """Orientations 1 to 8 of JPEG and PNG files."""
    stored = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    expected = []
    for orientation, turn in TURNED.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = tmp_path / f"{orientation}.{kind}"
        Image.fromarray(stored).save(path, exif=exif, quality=95)
        expected.append(turn(np.asarray(Image.open(path))))
    opened: list[Any] = [Image.open(tmp_path / f"{i}.{kind}") for i in TURNED]
    split = {"num_samples": 8} if way == "stream" else {}
    found = seen(WAYS[way](opened, tmp_path), **split)
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("mode", [*odd_images()])
def test_a_mode_is_kept_in_a_list(mode: str) -> None:
    image = odd_images()[mode]
    samples = open_samples([image], DataSpec("images"))
    found = as_mode(samples.read(0).original, "RGB")
    assert np.array_equal(np.asarray(found), np.asarray(as_mode(image, "RGB")))


@pytest.mark.parametrize("way", ["column", "stream"])
def test_a_declared_mode_is_honoured(way: str) -> None:
    images = noise_images(4)
    grey = datasets.Features(image=datasets.Image(mode="L"))
    data: Any = datasets.Dataset.from_dict({"image": images}, features=grey)
    options = {}
    if way == "stream":
        data, options = streamed(images, grey), {"num_samples": 4}
    expected = [np.asarray(image.convert("L")) for image in images]
    assert all(np.array_equal(a, b) for a, b in zip(seen(data, **options), expected, strict=True))


def test_a_declared_mode_loses_neither_depth_nor_transparency() -> None:
    def first(image: Image.Image, mode: str) -> np.ndarray:
        features = datasets.Features(image=datasets.Image(mode=mode))
        return seen(datasets.Dataset.from_dict({"image": [image]}, features=features))[0]

    deep = Image.fromarray(np.full((4, 4), 0x8080, np.uint16))
    assert (first(deep, "L") == 0x80).all()  # `convert` would give 255
    clear = Image.new("RGBA", (4, 4), (200, 0, 0, 0))
    assert (first(clear, "RGB") == 255).all()  # `convert` would give red


@pytest.mark.usefixtures("unclosed_files")
def test_a_picture_that_moves_shows_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("L", (8, 8), value) for value in (40, 200)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    samples = open_samples(str(tmp_path), DataSpec("animated"))
    assert samples.read(0).original.convert("L").getextrema() == (40, 40)


def test_a_picture_one_pixel_high(tiny_models: TinyModels) -> None:
    encoder = load_encoder(tiny_models.resnet)
    assert encoder.canvas(Image.new("RGB", (40, 1), "red")).shape == (3, 32, 32)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (np.zeros((4, 3, 8, 8), np.uint8), r"item 0 is a uint8 array of shape \(3, 8, 8\)"),
        (np.zeros((4, 8, 8, 3)), r"item 0 is a float64 array of shape \(8, 8, 3\)"),
        ([Image.new("RGB", (0, 4))], "item 0 is not an image: it is empty"),
        (np.zeros((8, 8, 3), np.uint8), r"shape \(8, 8, 3\) is one image"),
        ([np.zeros((0, 8, 3), np.uint8)], r"shape \(0, 8, 3\)"),
        ([[1, 2]], "item 0 is a list"),
        (["a.png"], "item 0 is a str"),
        ([torch.zeros(3, 8, 8)], "item 0 is a Tensor"),
        (torch.zeros(4, 3, 8, 8), "not Tensor"),
        ({"image": []}, "not dict"),
        ([], "holds no images"),
        (None, "not NoneType"),
        (b"x", "not bytes"),
    ],
)
def test_what_are_no_images_is_one_line(given: Any, said: str) -> None:
    with pytest.raises(RequestError, match=said) as told:
        as_images(given)
    assert len(str(told.value)) < 300
    with pytest.raises(RequestError):
        compare(Net(), Net(1), given, **QUICK)


def test_arrays_generators_and_tuples_are_images() -> None:
    images = noise_images(3)
    arrays = np.stack([np.asarray(image) for image in images])
    for given in (arrays, tuple(images), (image for image in images)):
        assert all(
            np.array_equal(np.asarray(a), np.asarray(b))
            for a, b in zip(as_images(given), images, strict=True)
        )
    assert as_images(arrays[:, :, :, :1])[0].mode == "L"


def test_columns_that_could_be_images_are_told_how() -> None:
    bare = datasets.Dataset.from_dict({"image": ["x.png"] * 4})
    with pytest.raises(RequestError, match=r"no column of images; .*cast_column"):
        compare(Net(), Net(1), bare, **QUICK)
    with pytest.raises(RequestError, match=r"holds no images; .*cast_column\('image'"):
        compare(Net(), Net(1), bare, image_column="image", **QUICK)
    with pytest.raises(RequestError, match="has no splits"):
        compare(Net(), Net(1), datasets.DatasetDict(), **QUICK)


def exif(*entries: tuple[int, int, int, bytes]) -> bytes:
    """A header of these entries: tag, type, count, value or its place."""
    body = b"II*\0" + struct.pack("<IH", 8, len(entries))
    for tag, kind, count, value in entries:
        body += struct.pack("<HHI", tag, kind, count) + value
    return b"Exif\0\0" + body + struct.pack("<I", 0)


@pytest.mark.parametrize(
    ("header", "turned"),
    [
        (exif((0x112, 2, 2, b"6\0\0\0")), False),
        (exif((0x112, 3, 1, b"\x09\0\0\0")), False),
        (exif((0x112, 3, 1, b"\x06\0\0\0"), (0x11A, 2, 3, b"ab\0\0")), True),
    ],
    ids=["a text", "no orientation", "another field"],
)
def test_an_odd_header_loses_no_picture(header: bytes, turned: bool, tmp_path: Path) -> None:
    image = Image.effect_noise((12, 8), 60)
    image.save(tmp_path / "odd.jpg", exif=header, quality=95)
    with Image.open(tmp_path / "odd.jpg") as plain:
        values = np.asarray(plain)
    expected = np.rot90(values, -1) if turned else values
    samples = open_samples(str(tmp_path), DataSpec("it"))
    assert samples.shapes == {expected.shape}
    with Image.open(tmp_path / "odd.jpg") as given:
        listed = open_samples([given], DataSpec("a list")).read(0).original
    for found in (samples.read(0).original, listed):
        np.testing.assert_array_equal(np.asarray(found), expected)


def test_whatever_a_decoder_raises_is_of_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = open_samples(noise_images(3), DataSpec("it"))

    def fails(error: Exception) -> Any:
        def decode(*_: Any) -> None:
            raise error

        monkeypatch.setattr(cells, "upright", decode)
        samples.read(0)

    with pytest.raises(UnreadableError, match="an odd box"):
        fails(KeyError("an odd box"))
    with pytest.raises(RunError, match=r"image \d of it cannot be read now: MemoryError"):
        fails(MemoryError())
