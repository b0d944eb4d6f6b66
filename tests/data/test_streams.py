"""Streams: what is taken of them, where it is kept, and what a buffer draws."""

import io
import json
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

import stir_hf
from stir_hf.data.sources import streams
from stir_hf.data.sources.layout import check_card
from stir_hf.data.sources.samples import Samples, open_samples
from stir_hf.data.sources.spec import DataSpec
from stir_hf.data.sources.streams import _write
from stir_hf.errors import RequestError
from tests.tiny import Net, noise_images, pictures

IMAGE = datasets.Features(image=datasets.Image())


def means(samples: Samples) -> list[float]:
    return [float(np.asarray(samples.read(p).original).mean()) for p in range(len(samples))]


def folder(path: Path, count: int = 12) -> str:
    pictures(count).to_parquet(path / "test.parquet")
    return str(path)


def test_a_folder_as_a_stream_gives_its_first_images(tmp_path: Path) -> None:
    name = folder(tmp_path)
    whole = open_samples(name, DataSpec(name))
    first = open_samples(name, DataSpec(name, streaming=True, num_samples=5))
    assert (first.total, first.order.tolist()) == (None, list(range(5)))
    by_row = dict(zip(whole.order.tolist(), means(whole), strict=True))
    assert means(first) == [by_row[i] for i in range(5)]


def test_a_saved_dataset_as_a_stream(tmp_path: Path) -> None:
    pictures(6).save_to_disk(str(tmp_path))
    samples = open_samples(tmp_path, DataSpec(str(tmp_path), streaming=True, num_samples=4))
    assert (samples.total, len(samples)) == (None, 4)


def test_a_buffer_draws_others_and_always_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets.config, "SLEEP_TIME_ON_THREADS_SHUTDOWN", 0)
    name = folder(tmp_path)

    def drawn(count: int) -> list[float]:
        spec = DataSpec(name, streaming=True, num_samples=count, shuffle_buffer=8)
        return means(open_samples(name, spec))

    first = means(open_samples(name, DataSpec(name, streaming=True, num_samples=6)))
    assert drawn(6) == drawn(10)[:6]
    assert drawn(6) != first


def test_a_buffer_is_part_of_the_identity_and_of_the_notes() -> None:
    stream = pictures(12).to_iterable_dataset()
    options: dict[str, Any] = {"num_samples": 6, "steps": 2, "progress": False}
    drawn = stir_hf.invert(Net(), stream, shuffle_buffer=8, **options)
    plain = stir_hf.invert(Net(), stream, **options)
    assert drawn.manifest.identity["data"]["shuffle_buffer"] == 8
    assert drawn.manifest.hash != plain.manifest.hash
    (score,) = stir_hf.score(Net(1), drawn, progress=False).scores
    assert "6 images of a stream, from a shuffle buffer of 8" in score.notes


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"shuffle_buffer": 5}, "shuffle_buffer is only for streams"),
        ({"shuffle_buffer": 0, "streaming": True}, "shuffle_buffer must be"),
        ({"streaming": True, "split": "test[:3]"}, "a stream has no slices"),
        ({"streaming": True, "num_samples": 13}, "13 samples requested, but .* has 12"),
        ({"streaming": True, "split": "tset"}, "no split 'tset'; did you mean test?"),
    ],
)
def test_what_is_refused(tmp_path: Path, options: dict[str, Any], told: str) -> None:
    name = folder(tmp_path)
    with pytest.raises(RequestError, match=told):
        open_samples(name, DataSpec(name, **options))


def test_what_is_loaded_already_is_no_stream() -> None:
    with pytest.raises(RequestError, match="is loaded already"):
        open_samples(pictures(4), DataSpec("images", streaming=True))
    with pytest.raises(RequestError, match="shuffle_buffer is only for streams"):
        open_samples(pictures(4), DataSpec("images", shuffle_buffer=4))


def test_a_stream_of_the_hub_takes_no_file_from_elsewhere(tmp_path: Path) -> None:
    """A row may name a file of its repo, not one of this machine or of another server."""
    elsewhere = tmp_path / "secret.png"
    noise_images(1)[0].save(elsewhere)
    url = "hf://datasets/lab/images@0"
    hidden = f"{elsewhere}::{url}/a.zip"
    for path in (
        str(elsewhere),
        hidden,
        f"{url}/../x.png",
        "http://127.0.0.1:9/x.png",
        "zip://x.png::/tmp/x.zip",
        "x.png",
    ):
        rows = {"image": [{"bytes": None, "path": path}]}
        stream = datasets.Dataset.from_dict(rows, features=IMAGE).to_iterable_dataset()
        with pytest.raises(RequestError, match="names a file outside of its repo"):
            _write(stream, tmp_path / "out", DataSpec("lab/images"), lambda table: table, url)


def test_empty_bytes_do_not_hide_a_file_from_elsewhere(tmp_path: Path) -> None:
    rows = {"image": [{"bytes": b"", "path": str(tmp_path / "secret.png")}]}
    stream = datasets.Dataset.from_dict(rows, features=IMAGE).to_iterable_dataset()
    with pytest.raises(RequestError, match="names a file outside of its repo"):
        _write(stream, tmp_path / "out", DataSpec("lab/images"), lambda table: table, "hf://x@0")


def test_bytes_come_before_a_file_of_the_same_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("L", (4, 4), 200).save("1.png")
    cells = []
    for i in range(3):
        Image.new("L", (4, 4), i).save(file := io.BytesIO(), "png")
        cells.append({"bytes": file.getvalue(), "path": f"{i}.png"})
    table = pa.table({"image": pa.array(cells, datasets.Image().pa_type)})
    stream = datasets.Dataset(table).cast_column("image", datasets.Image()).to_iterable_dataset()
    assert means(open_samples(stream, DataSpec("it"))) == [0, 1, 2]


def streamed(rows: list[dict[str, Any]]) -> datasets.IterableDataset:
    """Rows of no declared type."""
    return datasets.IterableDataset.from_generator(lambda: iter(rows))


def test_an_image_in_memory_that_breaks_off_is_named_by_its_index(tmp_path: Path) -> None:
    whole = noise_images(4, 64)
    whole[2].save(tmp_path / "2.png")
    cut = (tmp_path / "2.png").read_bytes()[:500]

    def rows() -> Any:
        for i, image in enumerate(whole):
            yield {"image": Image.open(io.BytesIO(cut)) if i == 2 else image}

    stream = datasets.IterableDataset.from_generator(rows)
    with pytest.raises(RequestError, match=r"^image 2 of it cannot be read: .*truncated"):
        open_samples(stream, DataSpec("it"))


@pytest.mark.parametrize("kind", ["arrow", "pandas", "numpy"])
def test_a_format_changes_nothing(kind: str) -> None:
    stream = pictures(4).to_iterable_dataset()
    expected = means(open_samples(stream, DataSpec("it")))
    assert means(open_samples(stream.with_format(kind), DataSpec("it"))) == expected


def test_other_columns_are_neither_decoded_nor_kept() -> None:
    kinds = datasets.Features(image=datasets.Image(), sound=datasets.Audio(), n=IMAGE["image"])
    cells = [pictures(3).cast_column("image", datasets.Image(decode=False))[i] for i in range(3)]
    odd = {"bytes": b"no file", "path": None}
    rows = {"image": [c["image"] for c in cells], "sound": [odd] * 3, "n": [odd] * 3}
    table = pa.table({name: pa.array(rows[name], kinds[name].pa_type) for name in kinds})
    data = datasets.Dataset(table).cast(kinds)
    spec = DataSpec("it", image_column="image")
    samples = open_samples(data.to_iterable_dataset(), spec)
    assert samples.rows.column_names == ["image"]
    assert means(samples) == means(open_samples(pictures(3).to_iterable_dataset(), spec))


def test_other_columns_may_change_their_type() -> None:
    image = noise_images(1)[0]
    rows: list[dict[str, Any]] = [{"image": image, "tags": [], "late": None} for _ in range(300)]
    rows[290] = {"image": image, "tags": ["x"], "late": "late"}
    rows[3] = {"image": image, "tags": {"a": 1}, "late": 0}
    assert len(open_samples(streamed(rows), DataSpec("it"))) == 300


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ([None, None, 7, 300], [None, None, 7, 300]),
        ([1, None, np.uint8(3), 4], [1, None, 3, 4]),
        ([None, None, None, None], None),
        ([1, 2, 3, "x"], None),
        ([1, 2, 3, 4.5], None),
        ([None, "x", 3, 4], None),
        ([None, True, False, True], None),
        ([None, None, 2**70, 4], None),
    ],
)
@pytest.mark.parametrize("at_once", [1, 64 << 20])
def test_labels_of_no_declared_type_are_kept_where_all_are_whole_numbers(
    label: list[Any], expected: list[Any] | None, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many rows are in memory at a time."""
    monkeypatch.setattr(streams, "BYTES_AT_ONCE", at_once)
    images = noise_images(4)
    rows = [{"image": i, "label": one} for i, one in zip(images, label, strict=True)]
    samples = open_samples(streamed(rows), DataSpec("it"))
    assert samples.rows.column_names == ["image"] + ["label"] * (expected is not None)
    read = [samples.read(position) for position in range(4)]
    assert [sample.label for sample in read] == (expected or [None] * 4)
    assert [s.original.tobytes() for s in read] == [image.tobytes() for image in images]


def test_labels_that_are_there_come_before_those_that_may_be() -> None:
    rows: list[dict[str, Any]] = [
        {"image": image, "label": None, "labels": i} for i, image in enumerate(noise_images(3))
    ]
    samples = open_samples(streamed(rows), DataSpec("it"))
    assert [samples.read(position).label for position in range(3)] == [0, 1, 2]


def test_files_as_bytes_are_images() -> None:
    whole = pictures(3).cast_column("image", datasets.Image(decode=False))
    rows: list[dict[str, Any]] = [{"image": whole[i]["image"]} for i in range(3)]
    expected = means(open_samples(pictures(3).to_iterable_dataset(), DataSpec("it")))
    assert means(open_samples(streamed(rows), DataSpec("it"))) == expected


def test_large_images_are_written_fewer_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[dict[str, Any]] = [{"image": image} for image in noise_images(5)]
    expected = means(open_samples(streamed(rows), DataSpec("it")))
    monkeypatch.setattr(streams, "BYTES_AT_ONCE", 1)
    samples = open_samples(streamed(rows), DataSpec("it"))
    assert means(samples) == expected
    assert samples.rows.data.column("image").num_chunks == 5
    cells = iter([{"image": {"bytes": bytes(40), "path": None}}] * 9)
    monkeypatch.setattr(streams, "BYTES_AT_ONCE", 100)
    assert [len(streams._some(cells)) for _ in range(4)] == [3, 3, 3, 0]


@pytest.mark.parametrize("named", ["http://127.0.0.1/x", "/etc/*", "../*", "zip://x::y", "*.csv"])
@pytest.mark.parametrize("beside", [False, True])
def test_a_card_names_its_own_files_alone(named: str, beside: bool, tmp_path: Path) -> None:
    files = [{"split": "test", "path": [named]}]
    said = json.dumps({"configs": [{"config_name": "a", "data_files": files}]})
    if beside:
        (tmp_path / ".huggingface.yaml").write_text(said)
    else:
        (tmp_path / "README.md").write_text(f"---\n{said}\n---\n")
    if named == "*.csv":
        check_card(tmp_path, "lab/images")
        return
    with pytest.raises(RequestError, match="names files outside of it"):
        check_card(tmp_path, "lab/images")
