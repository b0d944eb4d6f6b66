"""Streams whose length nobody knows: those that never end, how many images are read, and who is
told.
"""

import itertools
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import datasets
import pytest

import stir_hf
from stir_hf.cli import main
from stir_hf.data.sources import spec as specs
from stir_hf.data.sources.samples import open_samples
from stir_hf.data.sources.spec import DataSpec
from stir_hf.errors import RequestError
from tests.tiny import QUICK, Net, noise_images, picture_folder, pictures

Stream = Any


def stream(count: int = 3) -> Stream:
    return pictures(count).to_iterable_dataset()


def endless(count: int = 3) -> Stream:
    return stream(count).repeat(None)


def mixed(strategy: str, *parts: Stream) -> Stream:
    how: Any = {"stopping_strategy": strategy}
    return datasets.interleave_datasets(list(parts), **how)


ENDLESS: dict[str, Callable[[], Stream]] = {
    "itself": endless,
    "mapped": lambda: endless().map(lambda row: row),
    "filtered": lambda: endless().filter(bool),
    "shuffled": lambda: endless().shuffle(seed=0, buffer_size=2),
    "skipped": lambda: endless().skip(2),
    "renamed": lambda: endless().rename_column("image", "photo"),
    "cast": lambda: endless().cast_column("image", datasets.Image(mode="RGB")),
    "batched and back": lambda: endless().batch(2).map(lambda rows: rows, batched=False),
    "all of several": lambda: mixed("first_exhausted", endless(), endless(2)),
    "one of several": lambda: mixed("all_exhausted", endless(), stream()),
    "the last of several": lambda: datasets.concatenate_datasets([stream(), endless()]),
    "repeated again": lambda: endless().repeat(2),
    "taken, then repeated": lambda: endless().take(4).repeat(None),
    "a split": lambda: datasets.IterableDatasetDict(test=endless()),
}
ENDING: dict[str, tuple[Callable[[], Stream], int]] = {
    "taken": (lambda: endless().take(7), 7),
    "taken, then shuffled": (lambda: endless().take(7).shuffle(seed=0, buffer_size=3), 7),
    "repeated twice": (lambda: stream().repeat(2), 6),
    "first of several": (lambda: mixed("first_exhausted", endless(), stream()), 6),
    "plain": (stream, 3),
}


@pytest.mark.parametrize("make", ENDLESS.values(), ids=ENDLESS)
def test_a_stream_that_repeats_for_ever_is_refused(make: Callable[[], Stream]) -> None:
    with pytest.raises(RequestError, match="is an endless stream; give num_samples"):
        open_samples(make(), DataSpec("it"))


@pytest.mark.parametrize(("make", "count"), ENDING.values(), ids=ENDING)
def test_a_stream_that_ends_is_read_to_its_end(make: Callable[[], Stream], count: int) -> None:
    assert len(open_samples(make(), DataSpec("it"))) == count


def test_so_many_of_an_endless_stream_are_read() -> None:
    samples = open_samples(endless(), DataSpec("it", num_samples=7))
    first, again = (samples.read(position).original.tobytes() for position in (0, 3))
    assert len(samples) == 7
    assert first == again == noise_images(1)[0].tobytes()


def counting() -> Iterator[dict[str, Any]]:
    """Rows without end, which a stream of a generator does not tell."""
    return ({"image": noise_images(1, seed=i)[0]} for i in itertools.count())


def test_a_limit_ends_what_nobody_knows_the_end_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(specs, "STREAM_LIMIT", 300)
    without_end = datasets.IterableDataset.from_generator(counting)
    with pytest.raises(RequestError, match=r"more than 300 samples.*give num_samples"):
        open_samples(without_end, DataSpec("it"))
    with pytest.raises(RequestError, match="more than 5 samples"):
        open_samples(without_end, DataSpec("it", stream_limit=5))
    assert len(open_samples(stream(5), DataSpec("it", stream_limit=5))) == 5
    assert len(open_samples(without_end, DataSpec("it", stream_limit=5, num_samples=9))) == 9


def generated() -> Stream:
    features = datasets.Features(image=datasets.Image())
    return datasets.IterableDataset.from_generator(counting, features=features)


UNKNOWN: dict[str, Callable[[], Stream]] = {
    "mapped": lambda: generated().map(lambda row: row),
    "shuffled": lambda: generated().shuffle(seed=0, buffer_size=2),
    "one of several": lambda: datasets.concatenate_datasets([stream(), generated()]),
}
KNOWN: dict[str, tuple[Callable[[], Stream], int]] = {
    "a table": (lambda: stream(5), 5),
    "a table, mapped": (lambda: stream(5).map(lambda row: row), 5),
    "several tables": (lambda: datasets.concatenate_datasets([stream(), stream()]), 6),
    "a generator, taken": (lambda: generated().take(4), 4),
    "first of several": (lambda: mixed("first_exhausted", generated(), stream()), 6),
}


@pytest.mark.parametrize("make", UNKNOWN.values(), ids=UNKNOWN)
def test_by_itself_a_generator_is_limited(
    make: Callable[[], Stream], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(specs, "STREAM_LIMIT", 3)
    told = r"more than 3 samples and an unknown length; give num_samples, or a stream_limit above"
    with pytest.raises(RequestError, match=told):
        open_samples(make(), DataSpec("it"))


@pytest.mark.parametrize(("make", "count"), KNOWN.values(), ids=KNOWN)
def test_what_has_an_end_is_not(
    make: Callable[[], Stream], count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(specs, "STREAM_LIMIT", 3)
    assert len(open_samples(make(), DataSpec("it"))) == count


@pytest.mark.parametrize("kind", ["parquet", "imagefolder"])
def test_nor_are_files_that_datasets_streams(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(specs, "STREAM_LIMIT", 3)
    if kind == "parquet":
        pictures(4).to_parquet(tmp_path / "test.parquet")
    else:
        picture_folder(tmp_path / "test", 4)
    files: Stream = datasets.load_dataset(str(tmp_path), streaming=True)
    assert len(open_samples(files, DataSpec("it"))) == 4


def test_a_dataset_that_is_streamed_has_no_limit_but_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(specs, "STREAM_LIMIT", 2)
    name = str(tmp_path)
    pictures(4).to_parquet(tmp_path / "test.parquet")
    assert len(open_samples(name, DataSpec(name, streaming=True))) == 4
    with pytest.raises(RequestError, match="more than 3 samples"):
        open_samples(name, DataSpec(name, streaming=True, stream_limit=3))


@pytest.mark.parametrize("value", [0, -1, 1.5, "many"])
def test_a_limit_is_a_number(value: Any) -> None:
    with pytest.raises(RequestError, match="stream_limit must be a whole number"):
        DataSpec("it", stream_limit=value)


def test_a_limit_is_for_streams() -> None:
    with pytest.raises(RequestError, match="stream_limit is only for streams"):
        open_samples(pictures(3), DataSpec("it", stream_limit=5))


def test_a_limit_changes_no_identity() -> None:
    first = stir_hf.invert(Net(), stream(5), **QUICK)
    limited = stir_hf.invert(Net(), stream(5), stream_limit=5, **QUICK)
    assert limited.manifest.hash == first.manifest.hash


def test_a_bar_tells_images_and_bytes(capsys: pytest.CaptureFixture[str]) -> None:
    open_samples(stream(), DataSpec("it"), progress=True)
    told = capsys.readouterr()
    assert told.out == ""
    cells = pictures(3).data.column("image").to_pylist()
    size = sum(len(cell["bytes"]) for cell in cells)
    last = told.err.rstrip().rpartition("\r")[2]
    assert last.startswith("reading it: 3sample")
    assert f"{size}B" in last
    open_samples(stream(), DataSpec("it"))
    assert capsys.readouterr().err == ""


def test_a_watcher_is_told_of_what_is_read() -> None:
    told: list[stir_hf.Step] = []
    stir_hf.invert(Net(), stream(6), steps=2, progress=told.append)
    first, *_, last = told
    assert (first.what, first.done, first.total) == ("reading a dataset in memory", 1, 1)
    assert last.what.startswith("inverting")


def test_a_watcher_ends_the_reading() -> None:
    def fail(step: stir_hf.Step) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stir_hf.invert(Net(), datasets.IterableDataset.from_generator(counting), progress=fail)


def test_the_command_line_shows_the_bar(
    demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures(6, side=28).save_to_disk(str(tmp_path / "data"))
    words = ["invert", str(demo / "models" / "robust-0"), "--dataset", str(tmp_path / "data")]
    with suppress(SystemExit):
        main([*words, "--out", str(tmp_path / "out"), "--json", "--streaming", "--steps", "2"])
    told = capsys.readouterr()
    assert "reading " in told.err
    assert told.out.startswith("{")
