"""Streams: what is taken of them, where it is kept, and what a buffer draws."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stir_hf
from stir_hf.data.samples import Samples, open_samples
from stir_hf.data.spec import DataSpec
from stir_hf.errors import RequestError
from tests.tiny import Net, pictures


def means(samples: Samples) -> list[float]:
    return [float(np.asarray(samples.read(p).image).mean()) for p in range(len(samples))]


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


def test_a_buffer_draws_others_and_always_the_same(tmp_path: Path) -> None:
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
    assert "6 images of a stream, drawn from a buffer of 8" in score.notes


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"shuffle_buffer": 5}, "shuffle_buffer is for streams"),
        ({"shuffle_buffer": 0, "streaming": True}, "shuffle_buffer must be"),
        ({"streaming": True, "split": "test[:3]"}, "a stream has no slices"),
        ({"streaming": True, "num_samples": 13}, "13 images asked for, but .* has 12"),
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
    with pytest.raises(RequestError, match="shuffle_buffer is for streams"):
        open_samples(pictures(4), DataSpec("images", shuffle_buffer=4))
