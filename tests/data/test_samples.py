"""Splits of images with stable indices."""

import itertools
import shutil
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from PIL import Image

from stir_hf import RequestError
from stir_hf.data.images import cells
from stir_hf.data.sources.samples import Sample, Samples, UnreadableError, open_samples
from stir_hf.data.sources.spec import DataSpec
from stir_hf.inputs.images import eight_bit
from tests.tiny import count_decodes


def open_folder(folder: Path, num_samples: int | None = None, split: str | None = None) -> Samples:
    return open_samples(str(folder), DataSpec(str(folder), split=split, num_samples=num_samples))


def grey_squares(count: int) -> datasets.Dataset:
    images = [Image.new("L", (4, 4), i) for i in range(count)]
    return datasets.Dataset.from_dict(
        {"image": images}, features=datasets.Features(image=datasets.Image())
    )


def everything(samples: Samples) -> list[Sample]:
    return [samples.read(position) for position in range(len(samples))]


def test_all_images_of_the_preferred_split(image_folder: Path) -> None:
    samples = open_folder(image_folder)
    assert samples.spec.split == "test"
    assert samples.total == 12
    assert sorted(samples.order.tolist()) == list(range(12))
    labels = {s.index: s.label for s in everything(samples)}
    assert [labels[i] for i in range(12)] == [0] * 6 + [1] * 6
    assert len(open_folder(image_folder, split="train")) == 6


def test_a_smaller_sample_is_the_beginning_of_a_larger_one(image_folder: Path) -> None:
    orders = [open_folder(image_folder, n).order.tolist() for n in range(1, 13)]
    assert all(b[: len(a)] == a for a, b in itertools.pairwise(orders))
    assert orders[3] != list(range(4))


def test_a_sample_holds_the_same_images_as_the_split(image_folder: Path) -> None:
    whole = {s.index: s.original.tobytes() for s in everything(open_folder(image_folder))}
    for sample in everything(open_folder(image_folder, 5)):
        assert sample.original.tobytes() == whole[sample.index]


def test_images_are_decoded_as_they_are(image_folder: Path) -> None:
    assert {s.original.mode for s in everything(open_folder(image_folder))} == {"RGB", "L", "RGBA"}


def test_a_stream_gives_its_first_images() -> None:
    stream = grey_squares(9).to_iterable_dataset()
    samples = open_samples(stream, DataSpec("a stream", num_samples=4))
    assert samples.order.tolist() == [0, 1, 2, 3]
    assert samples.total is None
    assert [np.asarray(s.original)[0, 0] for s in everything(samples)] == [0, 1, 2, 3]


def test_the_fingerprint_is_of_the_split_and_its_first_images() -> None:
    def fingerprint(data: datasets.Dataset, num_samples: int | None = None) -> str:
        return open_samples(data, DataSpec("squares", num_samples=num_samples)).fingerprint

    assert fingerprint(grey_squares(9)) == fingerprint(grey_squares(9), 5)
    assert fingerprint(grey_squares(9)) != fingerprint(grey_squares(8))
    assert fingerprint(grey_squares(9)) != fingerprint(grey_squares(9).select(range(8, -1, -1)))


def test_a_saved_dataset_and_parquet_give_the_same(tmp_path: Path) -> None:
    grey_squares(5).save_to_disk(str(tmp_path / "saved"))
    (tmp_path / "parquet").mkdir()
    grey_squares(5).to_parquet(str(tmp_path / "parquet" / "test.parquet"))
    found = [open_folder(tmp_path / name).fingerprint for name in ("saved", "parquet")]
    assert found[0] == found[1]


@pytest.mark.usefixtures("unclosed_files")
def test_what_is_no_image_is_named_before_any_work(image_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(image_folder / "test", tmp_path / "test")
    sorted((tmp_path / "test" / "a").iterdir())[2].write_bytes(b"no image")
    with pytest.raises(RequestError, match=r"^image 2 of .* cannot be read: ") as raised:
        open_folder(tmp_path)
    assert "\n" not in str(raised.value)


@pytest.mark.usefixtures("unclosed_files")
def test_a_truncated_image_fails_when_it_is_read(image_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(image_folder / "test", tmp_path / "test")
    broken = sorted((tmp_path / "test" / "a").iterdir())[2]
    broken.write_bytes(broken.read_bytes()[:200])
    samples = open_folder(tmp_path)
    position = samples.order.tolist().index(2)
    with pytest.raises(UnreadableError, match="truncated"):
        samples.read(position)
    others = [p for p in range(len(samples)) if p != position]
    assert len([samples.read(p) for p in others]) == 11


def test_sizes_come_from_the_headers(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decoded(*_: Any) -> None:
        raise AssertionError("an image was decoded")

    monkeypatch.setattr(cells, "upright", decoded)
    samples = open_folder(image_folder)
    assert samples.shapes == {(36 + i, 40) for i in range(12)}
    with pytest.raises(RequestError, match="net takes images at their own size, but they differ"):
        samples.common_shape("net")
    turned = Image.new("RGB", (20, 10))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.jpg", exif=exif)
    assert open_folder(tmp_path).common_shape("net") == (20, 10)


def test_the_first_four_are_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = open_samples(grey_squares(9), DataSpec("squares"))
    decoded = count_decodes(monkeypatch)
    assert samples.fingerprint
    assert [samples.sample(p).index for p in range(9)] == samples.order.tolist()
    assert len(decoded) == 9


TWO = datasets.Features(
    image=datasets.Image(), other=datasets.Value("int64"), second=datasets.Image()
)


def test_columns_are_chosen_by_name() -> None:
    images = grey_squares(3).add_column("other", [1, 2, 3])
    two = images.map(lambda row: {"second": row["image"]}, features=TWO)
    with pytest.raises(RequestError, match="several image columns: image, second; choose"):
        open_samples(two, DataSpec("two"))
    assert open_samples(two, DataSpec("two", image_column="second")).column.name == "second"
    with pytest.raises(RequestError, match="no column 'imag'; did you mean image"):
        open_samples(two, DataSpec("two", image_column="imag"))
    with pytest.raises(RequestError, match="column 'other' of two holds no images"):
        open_samples(two, DataSpec("two", image_column="other"))
    with pytest.raises(RequestError, match="no column of images"):
        open_samples(images.remove_columns("image"), DataSpec("none"))


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
    read = everything(open_samples(files, DataSpec("files")))
    expected = {s.index: s.original.tobytes() for s in read}
    for stream in streams:
        read = everything(open_samples(stream, DataSpec("a stream")))
        assert {s.index: s.original.tobytes() for s in read} == expected


@pytest.mark.usefixtures("unclosed_files")
def test_a_corrupt_image_of_a_stream_is_named_by_its_index(tmp_path: Path) -> None:
    stream = jpegs(tmp_path / "jpegs", 4).to_iterable_dataset()
    (tmp_path / "jpegs" / "2.jpg").write_bytes(b"no image")
    with pytest.raises(RequestError, match=r"^image 2 of a stream cannot be read"):
        open_samples(stream, DataSpec("a stream"))


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
        open_samples(data, DataSpec("floats"))


def test_sixteen_bit_files_are_scaled(tmp_path: Path) -> None:
    values = (np.arange(64, dtype=np.uint16) * 1000).reshape(8, 8)
    Image.fromarray(values).save(tmp_path / "deep.png")
    (sample,) = everything(open_folder(tmp_path))
    assert np.array_equal(
        np.asarray(sample.original.convert("L")), np.rint(values / 257).astype(np.uint8)
    )


@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_a_formatted_dataset_gives_the_same_images(kind: str) -> None:
    spec = DataSpec("squares")
    plain = open_samples(grey_squares(5), spec)
    assert open_samples(grey_squares(5).with_format(kind), spec).fingerprint == plain.fingerprint


def test_a_split_that_is_not_there_is_never_ignored(tmp_path: Path) -> None:
    grey_squares(5).save_to_disk(str(tmp_path / "saved"))
    with pytest.raises(RequestError, match="has no split 'train'; it is one split"):
        open_folder(tmp_path / "saved", split="train")
    with pytest.raises(RequestError, match="has no split 'train'; it is one split"):
        open_samples(grey_squares(5), DataSpec("squares", split="train"))
    named = datasets.DatasetDict({"train": grey_squares(5), "test": grey_squares(4)})
    assert len(open_samples(named, DataSpec("two", split="train"))) == 5
    with pytest.raises(
        RequestError,
        match="config_name 'full' cannot be chosen in squares, which is loaded already",
    ):
        open_samples(grey_squares(5), DataSpec("squares", config_name="full"))
    with pytest.raises(RequestError, match="config_name 'full' cannot be chosen in saved"):
        open_samples(str(tmp_path / "saved"), DataSpec("saved", config_name="full"))
    with pytest.raises(RequestError, match="is a folder and has no revision 'main'"):
        open_samples(str(tmp_path / "saved"), DataSpec("saved", revision="main"))


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
    with pytest.raises(RequestError, match="4 samples requested, but squares has 3"):
        open_samples(data, DataSpec("squares", num_samples=4))


def test_a_slice_that_ends_before_it_begins_has_no_images() -> None:
    spec = DataSpec("squares", split="test[4:2]")
    named = datasets.DatasetDict({"test": grey_squares(5)})
    with pytest.raises(RequestError, match=r"at least one sample requested, .* has 0$"):
        open_samples(named, spec)


def test_a_file_that_is_no_image_is_told_alike_each_time() -> None:
    cells = [{"bytes": b"no image", "path": None}] * 4
    columns = datasets.Features(image=datasets.Image())
    data = datasets.Dataset.from_dict({"image": cells}, features=columns)
    said = r"^image 0 of it cannot be read: cannot identify image file; nor can 3 others: 1, 2, 3$"
    with pytest.raises(RequestError, match=said):
        open_samples(data, DataSpec("it"))
