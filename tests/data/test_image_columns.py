"""Images inside other columns, copies, and images that cannot be read."""

import io
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import stir_hf
from stir_hf import RequestError
from stir_hf.data.images.columns import image_column
from stir_hf.data.sources.columns import label_column
from stir_hf.data.sources.samples import Samples, UnreadableError, open_samples
from stir_hf.data.sources.spec import DataSpec
from tests.tiny import Net, compared, noise_images, pictures

IMAGES = noise_images(5)
FEATURES = datasets.Features(
    meta={"photo": datasets.Image(), "caption": datasets.Value("string")},
    views=datasets.List(datasets.Image()),
    label=datasets.ClassLabel(names=["a", "b"]),
)
ROWS: dict[str, Any] = {
    "meta": [{"photo": image, "caption": "c"} for image in IMAGES],
    "views": [[IMAGES[-1 - i], IMAGES[i]] for i in range(5)],
    "label": [0, 1, 0, 1, 0],
}


def nested() -> datasets.Dataset:
    return datasets.Dataset.from_dict(ROWS, features=FEATURES)


def pixels(samples: Samples) -> dict[int, bytes]:
    found = [samples.read(position) for position in range(len(samples))]
    return {sample.index: sample.original.tobytes() for sample in found}


EXPECTED = {
    "meta.photo": {i: IMAGES[i].tobytes() for i in range(5)},
    "views[0]": {i: IMAGES[-1 - i].tobytes() for i in range(5)},
    "views[1]": {i: IMAGES[i].tobytes() for i in range(5)},
}


@pytest.mark.parametrize("kind", ["memory", "stream", "parquet", "arrow", "saved", "read as one"])
@pytest.mark.parametrize("column", EXPECTED)
def test_images_inside_others_are_asked_for_by_name(column: str, kind: str, tmp_path: Path) -> None:
    data: Any = nested()
    if kind == "stream":
        data = data.to_iterable_dataset()
    elif kind in ("parquet", "read as one"):
        data.to_parquet(tmp_path / "test.parquet")
        data = str(tmp_path)
    elif kind == "arrow":
        data.save_to_disk(tmp_path / "saved")
        (tmp_path / "files").mkdir()
        (made,) = (tmp_path / "saved").glob("*.arrow")
        made.rename(tmp_path / "files" / "test.arrow")
        data = str(tmp_path / "files")
    elif kind == "saved":
        data.save_to_disk(tmp_path)
        data = str(tmp_path)
    streaming = kind == "read as one"
    spec = DataSpec("it", image_column=column, num_samples=5, streaming=streaming)
    samples = open_samples(data, spec)
    assert pixels(samples) == EXPECTED[column]
    labels = {s.index: s.label for s in map(samples.read, range(5))}
    assert [labels[i] for i in range(5)] == ROWS["label"]


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (None, "no column of images, but images inside others: meta.photo, "),
        ("meta", "column 'meta' of it holds no images; those inside it are meta.photo"),
        ("views", "those inside it are views\\[0\\]"),
        ("meta.foto", "no column 'meta.foto'; did you mean meta.photo"),
        ("label", "column 'label' of it holds no images"),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_what_is_not_there_is_told(column: str | None, said: str, streamed: bool) -> None:
    data = nested().to_iterable_dataset() if streamed else nested()
    with pytest.raises(RequestError, match=said):
        open_samples(data, DataSpec("it", image_column=column))


def test_a_column_comes_before_a_field_of_the_same_name() -> None:
    kinds: dict[str, Any] = {"meta.photo": datasets.Image(), "meta": {"photo": datasets.Image()}}
    columns = datasets.Features(**kinds)
    rows = {"meta.photo": IMAGES, "meta": [{"photo": image} for image in reversed(IMAGES)]}
    data = datasets.Dataset.from_dict(rows, features=columns)
    samples = open_samples(data, DataSpec("it", image_column="meta.photo"))
    assert pixels(samples) == {i: IMAGES[i].tobytes() for i in range(5)}


def test_an_image_of_no_bytes_is_told() -> None:
    cells = [png(image) for image in noise_images(4)]
    cells[2] = {"bytes": b"", "path": None}
    columns = datasets.Features(image=datasets.Image())
    data = datasets.Dataset.from_dict({"image": cells}, features=columns)
    with pytest.raises(RequestError, match="image 2 of it cannot be read: there is none"):
        open_samples(data, DataSpec("it"))


def test_a_place_that_a_list_does_not_have_holds_no_image() -> None:
    with pytest.raises(RequestError, match=r"image 0 of it cannot be read: there is none; nor can"):
        open_samples(nested(), DataSpec("it", image_column="views[2]"))


def test_a_stream_without_that_column_is_not_read_to_its_end() -> None:
    read: list[int] = []

    def rows() -> Any:
        for i in range(5000):
            read.append(i)
            yield {"image": IMAGES[0], "label": i}

    stream = datasets.IterableDataset.from_generator(rows)
    with pytest.raises(RequestError, match="no column 'photo'"):
        open_samples(stream, DataSpec("it", image_column="photo"))
    assert len(read) < 1000


def png(image: Image.Image) -> dict[str, Any]:
    file = io.BytesIO()
    image.save(file, "PNG")
    return {"bytes": file.getvalue(), "path": None}


def test_images_that_cannot_be_read_are_all_told_by_their_index() -> None:
    cells = [png(image) for image in noise_images(12)]
    for i in (3, 5, 8):
        cells[i] = {"bytes": b"no image", "path": None}
    data = datasets.Dataset.from_dict(
        {"image": cells}, features=datasets.Features(image=datasets.Image())
    )
    with pytest.raises(RequestError, match=r"image 3 of it cannot be .*; nor can 2 others: 5, 8$"):
        open_samples(data, DataSpec("it"))


def test_an_image_that_breaks_off_is_left_out_by_its_index() -> None:
    cells = [png(image) for image in noise_images(12)]
    cells[4]["bytes"] = cells[4]["bytes"][:120]
    data = datasets.Dataset.from_dict(
        {"image": cells}, features=datasets.Features(image=datasets.Image())
    )
    samples = open_samples(data, DataSpec("it"))
    position = int(np.flatnonzero(samples.order == 4)[0])
    with pytest.raises(UnreadableError):
        samples.read(position)
    (score, _) = compared(Net(0), Net(1), data).scores
    assert "1 image left out that could not be read: 4" in score.notes


def test_copies_are_told_by_their_index() -> None:
    images = noise_images(8)
    images[6], images[7] = images[2], images[2]
    (score, _) = compared(Net(0), Net(1), images).scores
    assert "2 images are copies of another on the canvas: 6 of 2, 7 of 2" in score.notes
    (other, _) = compared(Net(0), Net(1), noise_images(8)).scores
    assert not any("cop" in note for note in other.notes)


@pytest.mark.parametrize("kind", ["parquet", "arrow", "saved", "imagefolder", "memory", "stream"])
def test_every_kind_of_dataset_gives_the_same_inversions(kind: str, tmp_path: Path) -> None:
    images, data = noise_images(6), pictures(6)
    given: Any = str(tmp_path)
    if kind == "parquet":
        data.to_parquet(tmp_path / "test.parquet")
    elif kind == "arrow":
        data.save_to_disk(tmp_path / "saved")
        given = str(tmp_path / "files")
        Path(given).mkdir()
        (made,) = (tmp_path / "saved").glob("*.arrow")
        made.rename(tmp_path / "files" / "test.arrow")
    elif kind == "saved":
        data.save_to_disk(tmp_path)
    elif kind == "imagefolder":
        for i, image in enumerate(images):
            image.save(tmp_path / f"{i}.png")
    else:
        given = data if kind == "memory" else data.to_iterable_dataset()
    made_of = stir_hf.invert(Net(), given, steps=2, progress=False)
    expected = stir_hf.invert(Net(), images, steps=2, progress=False)
    np.testing.assert_array_equal(np.asarray(made_of.image), np.asarray(expected.image))
    np.testing.assert_allclose(made_of.relative_error, expected.relative_error, atol=1e-5)


def held(kind: Any) -> pa.Array:
    """Images as writers that know nothing of `datasets` leave them."""
    cells = [png(image) for image in IMAGES]
    return pa.array(cells if pa.types.is_struct(kind) else [c["bytes"] for c in cells], kind)


LARGE = pa.struct({"path": pa.large_string(), "bytes": pa.large_binary()})


@pytest.mark.parametrize(
    ("kind", "asked"),
    [
        (datasets.Image().pa_type, None),
        (LARGE, None),
        (pa.binary(), "image"),
        (pa.large_binary(), "image"),
    ],
    ids=["struct", "large", "binary", "large binary"],
)
@pytest.mark.parametrize("streaming", [False, True])
def test_files_in_plain_parquet_are_images(
    kind: Any, asked: str | None, streaming: bool, tmp_path: Path
) -> None:
    pq.write_table(pa.table({"image": held(kind), "label": range(5)}), tmp_path / "test.parquet")
    spec = DataSpec("it", image_column=asked, num_samples=5, streaming=streaming)
    samples = open_samples(str(tmp_path), spec)
    assert pixels(samples) == {i: image.tobytes() for i, image in enumerate(IMAGES)}
    assert [s.label for s in sorted(map(samples.read, range(5)), key=lambda s: s.index)] == [
        *range(5)
    ]


def test_bytes_and_paths_are_images_only_where_they_are_asked_for(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"image": held(pa.binary()), "p": ["x"] * 5}), tmp_path / "test.parquet"
    )
    with pytest.raises(RequestError, match="has no column of images"):
        open_samples(str(tmp_path), DataSpec("it"))
    with pytest.raises(RequestError, match="column 'p' of it holds no images"):
        open_samples(str(tmp_path), DataSpec("it", image_column="p"))


SOUND = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}
ODD = {"bytes": b"RIFF", "path": "a.wav"}


@pytest.mark.parametrize("kind", ["memory", "stream", "undeclared stream"])
def test_a_declared_column_comes_before_other_files(kind: str) -> None:
    """Sounds and films are kept as bytes and paths too."""
    columns = datasets.Features(image=datasets.Image(), audio=SOUND)
    rows = {"image": IMAGES, "audio": [ODD] * 5}
    data: Any = datasets.Dataset.from_dict(rows, features=columns)
    if kind == "stream":
        data = data.to_iterable_dataset()
    elif kind == "undeclared stream":
        made = [{"image": image, "audio": ODD} for image in IMAGES]
        data = datasets.IterableDataset.from_generator(lambda: iter(made))
    samples = open_samples(data, DataSpec("it"))
    assert samples.column.name == "image"
    assert pixels(samples) == {i: image.tobytes() for i, image in enumerate(IMAGES)}


def test_files_are_chosen_only_where_no_images_are_declared() -> None:
    audio: dict[str, Any] = {"audio": SOUND}
    both = {**audio, "meta": {"photo": datasets.Image()}}
    with pytest.raises(RequestError, match=r"inside others: meta\.photo; choose one with"):
        image_column(both, DataSpec("it"))
    assert image_column(both, DataSpec("it", image_column="audio")).name == "audio"
    assert image_column(audio, DataSpec("it")).name == "audio"
    with pytest.raises(RequestError, match=r"several image columns: audio, film"):
        image_column({**audio, "film": SOUND}, DataSpec("it"))


def test_labels_are_classes_or_whole_numbers_under_a_usual_name() -> None:
    whole, text = datasets.Value("int64"), datasets.Value("string")
    classes = datasets.ClassLabel(names=["a", "b"])
    assert label_column({"label": whole}) == "label"
    assert label_column({"label": whole, "kind": classes}) == "kind"
    assert label_column({"cls": datasets.Value("int32"), "n": whole}) == "cls"
    assert label_column({"label": text, "n": whole}) is None
    assert label_column({"label": datasets.List(whole)}) is None


def test_whole_numbers_are_kept_as_labels() -> None:
    data = pictures(5).add_column("label", [7, 0, 3, 9, 9])
    made = stir_hf.invert(Net(), data, steps=1, progress=False)
    assert made.label is not None
    assert made.label.tolist() == [7, 0, 3, 9, 9]
