"""Splits of images with stable indices."""

import itertools
import shutil
from pathlib import Path

import datasets
import numpy as np
import pytest
from PIL import Image

from stir_hf import RequestError
from stir_hf.data.samples import Images, open_images
from stir_hf.data.spec import DataSpec
from stir_hf.inputs.images import eight_bit
from stir_hf.models.processors import own_size


def open_folder(folder: Path, num_samples: int | None = None, split: str | None = None) -> Images:
    return open_images(str(folder), DataSpec(str(folder), split=split, num_samples=num_samples))


def grey_squares(count: int) -> datasets.Dataset:
    images = [Image.new("L", (4, 4), i) for i in range(count)]
    return datasets.Dataset.from_dict(
        {"image": images}, features=datasets.Features(image=datasets.Image())
    )


def test_all_images_of_the_preferred_split(image_folder: Path) -> None:
    images = open_folder(image_folder)
    assert images.identity["split"] == "test"
    assert images.indices == tuple(range(12))
    assert [label for _, _, label in images] == [0] * 6 + [1] * 6
    assert len(open_folder(image_folder, split="train")) == 6


def test_a_smaller_sample_is_part_of_a_larger_one(image_folder: Path) -> None:
    samples = [open_folder(image_folder, n).indices for n in range(1, 13)]
    assert all(set(a) < set(b) for a, b in itertools.pairwise(samples))
    assert all(list(s) == sorted(s) for s in samples)
    assert samples == [open_folder(image_folder, n).indices for n in range(1, 13)]
    assert samples[3] != tuple(range(4))


def test_a_sample_holds_the_same_images_as_the_split(image_folder: Path) -> None:
    everything = {index: image.tobytes() for index, image, _ in open_folder(image_folder)}
    for index, image, _ in open_folder(image_folder, 5):
        assert image.tobytes() == everything[index]


def test_grey_and_transparent_images_are_converted(image_folder: Path) -> None:
    images = open_folder(image_folder)
    assert {image.mode for _, image, _ in images} == {"RGB", "L", "RGBA"}
    for channels in (1, 3):
        for _, image, _ in images:
            assert (
                own_size(channels).process(image.convert("L" if channels == 1 else "RGB")).shape[0]
                == channels
            )


def test_a_stream_gives_its_first_images() -> None:
    stream = grey_squares(9).to_iterable_dataset()
    images = open_images(stream, DataSpec("a stream", num_samples=4))
    assert images.indices == (0, 1, 2, 3)
    assert [np.asarray(image)[0, 0] for _, image, _ in images] == [0, 1, 2, 3]


def test_the_identity_is_of_the_images() -> None:
    spec = DataSpec("squares", num_samples=5)
    identity = open_images(grey_squares(9), spec).identity
    assert identity == open_images(grey_squares(9), spec).identity
    other = open_images(grey_squares(9), DataSpec("squares", num_samples=6)).identity
    assert identity["fingerprint"] != other["fingerprint"]


def test_a_saved_dataset_and_parquet_give_the_same(tmp_path: Path) -> None:
    grey_squares(5).save_to_disk(str(tmp_path / "saved"))
    (tmp_path / "parquet").mkdir()
    grey_squares(5).to_parquet(str(tmp_path / "parquet" / "test.parquet"))
    found = [open_folder(tmp_path / name).identity["fingerprint"] for name in ("saved", "parquet")]
    assert found[0] == found[1]


@pytest.mark.usefixtures("unclosed_files")
def test_a_corrupt_image_is_named_by_its_index(image_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(image_folder / "test", tmp_path / "test")
    broken = sorted((tmp_path / "test" / "a").iterdir())[2]
    broken.write_bytes(broken.read_bytes()[:200])
    with pytest.raises(RequestError, match=r"^image 2 of .* cannot be read: ") as raised:
        open_folder(tmp_path)
    assert "\n" not in str(raised.value)


TWO = datasets.Features(
    image=datasets.Image(), other=datasets.Value("int64"), second=datasets.Image()
)


def test_columns_are_chosen_by_name() -> None:
    images = grey_squares(3).add_column("other", [1, 2, 3])
    two = images.map(lambda row: {"second": row["image"]}, features=TWO)
    with pytest.raises(
        RequestError, match="several image columns; give --image-column: image, second"
    ):
        open_images(two, DataSpec("two"))
    assert open_images(two, DataSpec("two", image_column="second")).column == "second"
    with pytest.raises(RequestError, match="no column 'imag'; did you mean image"):
        open_images(two, DataSpec("two", image_column="imag"))
    with pytest.raises(RequestError, match="column 'other' of two holds no images"):
        open_images(two, DataSpec("two", image_column="other"))
    with pytest.raises(RequestError, match="no column of images"):
        open_images(images.remove_columns("image"), DataSpec("none"))


def jpegs(folder: Path, count: int) -> datasets.Dataset:
    """Files on disk, not decoded."""
    folder.mkdir()
    for i in range(count):
        noise = np.random.default_rng(i).integers(0, 256, (12, 12, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{i}.jpg", quality=50)
    paths = [str(folder / f"{i}.jpg") for i in range(count)]
    return datasets.Dataset.from_dict(
        {"image": paths}, features=datasets.Features(image=datasets.Image())
    )


def test_a_stream_of_files_gives_the_same_as_the_files(tmp_path: Path) -> None:
    files = jpegs(tmp_path / "jpegs", 4)
    streams = [
        files.to_iterable_dataset(),
        datasets.IterableDataset.from_generator(lambda: iter(files)),
    ]
    assert streams[1].features is None
    expected = [image.tobytes() for _, image, _ in open_images(files, DataSpec("files"))]
    for stream in streams:
        assert [
            image.tobytes() for _, image, _ in open_images(stream, DataSpec("a stream"))
        ] == expected


@pytest.mark.usefixtures("unclosed_files")
def test_a_corrupt_image_of_a_stream_is_named_by_its_index(tmp_path: Path) -> None:
    stream = jpegs(tmp_path / "jpegs", 4).to_iterable_dataset()
    (tmp_path / "jpegs" / "2.jpg").write_bytes(b"no image")
    with pytest.raises(RequestError, match=r"^image 2 of a stream cannot be read"):
        open_images(stream, DataSpec("a stream"))


def test_sixteen_bits_are_scaled_and_others_refused() -> None:
    levels = np.array([[0, 257, 32896, 65535]], np.uint16)
    assert np.asarray(eight_bit(Image.fromarray(levels))).tolist() == [[0, 1, 128, 255]]
    assert eight_bit(Image.new("RGB", (2, 2))).mode == "RGB"
    floats = [
        Image.fromarray(np.zeros((3, 3), np.uint8)),
        Image.fromarray(np.ones((3, 3), np.float32)),
    ]
    data = datasets.Dataset.from_dict(
        {"image": floats}, features=datasets.Features(image=datasets.Image())
    )
    with pytest.raises(
        RequestError, match=r"^image 1 of floats cannot be read: mode 'F' has no known range"
    ):
        open_images(data, DataSpec("floats"))


def test_sixteen_bit_files_are_scaled(tmp_path: Path) -> None:
    values = (np.arange(64, dtype=np.uint16) * 1000).reshape(8, 8)
    Image.fromarray(values).save(tmp_path / "deep.png")
    ((_, image, _),) = open_folder(tmp_path)
    assert np.array_equal(np.asarray(image.convert("L")), np.rint(values / 257).astype(np.uint8))


@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_a_formatted_dataset_gives_the_same_images(kind: str) -> None:
    spec = DataSpec("squares")
    plain = open_images(grey_squares(5), spec)
    assert open_images(grey_squares(5).with_format(kind), spec).identity == plain.identity


def test_a_split_that_is_not_there_is_never_ignored(tmp_path: Path) -> None:
    grey_squares(5).save_to_disk(str(tmp_path / "saved"))
    with pytest.raises(RequestError, match="has no split 'train'; it is one split"):
        open_folder(tmp_path / "saved", split="train")
    with pytest.raises(RequestError, match="has no split 'train'; it is one split"):
        open_images(grey_squares(5), DataSpec("squares", split="train"))
    named = datasets.DatasetDict({"train": grey_squares(5), "test": grey_squares(4)})
    assert len(open_images(named, DataSpec("two", split="train"))) == 5
    with pytest.raises(
        RequestError,
        match="config_name 'full' cannot be chosen in squares, which is loaded already",
    ):
        open_images(grey_squares(5), DataSpec("squares", config_name="full"))
    with pytest.raises(RequestError, match="config_name 'full' cannot be chosen in saved"):
        open_images(str(tmp_path / "saved"), DataSpec("saved", config_name="full"))
    with pytest.raises(RequestError, match="is a folder and has no revision 'main'"):
        open_images(str(tmp_path / "saved"), DataSpec("saved", revision="main"))


def test_a_broken_saved_dataset_is_one_line(tmp_path: Path) -> None:
    grey_squares(5).save_to_disk(str(tmp_path / "saved"))
    (file,) = (tmp_path / "saved").glob("*.arrow")
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(RequestError, match="saved cannot be loaded: ") as raised:
        open_folder(tmp_path / "saved")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("streamed", [False, True])
def test_more_images_than_there_are(streamed: bool) -> None:
    data = grey_squares(3).to_iterable_dataset() if streamed else grey_squares(3)
    with pytest.raises(RequestError, match="4 images asked for, but squares split None has 3"):
        open_images(data, DataSpec("squares", num_samples=4))
