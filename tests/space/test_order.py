"""What is refused without the Hub and without a network is refused before either is touched."""

from pathlib import Path
from typing import Any

import pytest

import stir_hf
from stir_hf.data.sources.samples import open_samples
from stir_hf.data.sources.spec import DataSpec
from stir_hf.demo import IMAGES
from stir_hf.space import jobs
from stir_hf.space.asked import EMBEDDED, ROWS, Comparison, UploadError

HUB = "lab/images"
SPLITS = {
    "no split": (EMBEDDED, "train", "200 images of Fashion-MNIST has no split 'train'; there are"),
    "no slice": (EMBEDDED, "test[x:y]", "is not a slice of 200 rows"),
    "a small slice": (
        EMBEDDED,
        "test[:4]",
        "16 samples requested, but 200 images of",
    ),
    "an empty slice": (EMBEDDED, "test[9:5]", "split test.9:5. has 0"),
    "a slice of a stream": (HUB, "test[:100]", "'test.:100.' is a slice; datasets of the Hub are"),
}


@pytest.mark.parametrize("case", SPLITS)
def test_splits_that_are_refused_with_the_form(case: str) -> None:
    dataset, split, words = SPLITS[case]
    with pytest.raises(stir_hf.RequestError, match=words):
        Comparison("standard-0", "lab/robust", dataset, split, images=16)


@pytest.mark.parametrize(
    ("dataset", "split"),
    [(EMBEDDED, ""), (EMBEDDED, "test"), (EMBEDDED, " test[20:36] "), (HUB, "train"), (HUB, "")],
)
def test_splits_that_are_taken(dataset: str, split: str) -> None:
    asked = Comparison("standard-0", "lab/robust", dataset, split, images=16)
    assert asked.split == split.strip()


def test_uploads_have_no_split() -> None:
    assert Comparison(
        "standard-0", "robust-0", EMBEDDED, "train", tuple("abcdefghijklmnop")
    ).uploads


def test_the_embedded_images_are_as_the_page_says() -> None:
    samples = open_samples(IMAGES, DataSpec(str(IMAGES)))
    assert {samples.spec.split: samples.total} == ROWS


def test_images_are_read_before_models_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def touched(*_: Any, **__: Any) -> Any:
        pytest.fail("a model was looked at")

    for name in ("check_weights", "_encoder"):
        monkeypatch.setattr(jobs, name, touched)
    paths = [tmp_path / f"{i}.png" for i in range(16)]
    for path in paths:
        path.write_bytes(b"no image")
    asked = Comparison("lab/standard", "lab/robust", uploads=tuple(map(str, paths)))
    with pytest.raises(UploadError, match="is no image"):
        jobs.compare(asked, tmp_path, lambda _: None)
