"""Scores of accepted inversions, from the command's function to the report."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from transformers import AutoImageProcessor, AutoModelForImageClassification

import stir_hf
from stir_hf import Inversions, StirResult
from stir_hf.demo import IMAGES, model_path
from stir_hf.report import html_table, table
from stir_hf.results import Score
from stir_hf.scoring.acceptance import random_pairs
from stir_hf.scoring.accepted import acceptance_of
from tests import reference
from tests.tiny import Net, inverted, judged, pictures, rows

MODEL, REFERENCE, COUNT = "standard-1", "robust-0", 32
HOW: dict[str, Any] = {"num_samples": COUNT, "progress": False, "seed": 1}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a short schedule."""
    folder = tmp_path_factory.mktemp("metamers")
    how: dict[str, Any] = {"method": "metamer:steps_per_run=20", "steps": 80, "out": folder}
    stir_hf.compare(str(model_path(MODEL)), str(model_path(REFERENCE)), str(IMAGES), **HOW, **how)
    return folder


@pytest.fixture(scope="module")
def score(out: Path) -> Score:
    result = StirResult.load(out)
    (found,) = [one for one in result.scores if one.model.startswith(MODEL)]
    return found


@pytest.fixture(scope="module")
def made(out: Path) -> Inversions:
    (found,) = [
        one
        for one in Inversions.load_all(out)
        if one.manifest.names["reference"].startswith(REFERENCE)
    ]
    return found


def classes(name: str, values: np.ndarray) -> np.ndarray:
    """The classes that transformers alone gives images (n, 1, h, w) in [0, 1]."""
    path = str(model_path(name))
    images = list(np.round(values * 255).astype(np.uint8))
    inputs = AutoImageProcessor.from_pretrained(path)(
        images, return_tensors="pt", input_data_format="channels_first", do_resize=False
    )
    with torch.no_grad():
        found = AutoModelForImageClassification.from_pretrained(path).eval()(**inputs)
    return found.logits.argmax(1).numpy()  # type: ignore[no-any-return]


def alike(a: np.ndarray, b: np.ndarray) -> list[float]:
    snr = 10 * np.log10(np.linalg.norm(a) / np.linalg.norm(a - b))
    return [stats.spearmanr(a, b)[0], stats.pearsonr(a, b)[0], snr]


def test_the_class_of_each_inversion_is_compared_with_that_of_its_original(
    made: Inversions,
) -> None:
    before, after = (classes(REFERENCE, np.asarray(one)) for one in (made.image, made.inverted))
    assert made.class_kept is not None
    assert made.class_kept.tolist() == (before == after).tolist()
    assert made.to_dataset()["class_kept"] == made.class_kept.tolist()


def test_accepted_are_those_beyond_all_random_pairs_that_keep_their_class(
    made: Inversions, score: Score
) -> None:
    own, found = (one.astype(float) for one in (made.representation, made.representation_inverted))
    pairs = random_pairs(COUNT, 1000, seed=1)
    limits = np.max([alike(own[i], own[j]) for i, j in pairs], axis=0)
    above = [alike(*pair) > limits for pair in zip(own, found, strict=True)]
    kept = np.all(above, axis=1) & made.class_kept
    told = score.accepted
    assert told is not None
    assert told.by_class
    assert told.num_samples == kept.sum() >= 4
    assert told.share == pytest.approx(kept.mean())
    assert [told.spearman, told.pearson, told.snr] == pytest.approx(limits.tolist())

    encoder = stir_hf.load_encoder(str(model_path(MODEL)))
    with torch.no_grad():
        x, y = (
            encoder(torch.from_numpy(np.asarray(one))).numpy().astype(float)[kept]
            for one in (made.image, made.inverted)
        )
    assert told.stir == pytest.approx(reference.linear_cka(x, y), abs=1e-6)
    assert told.similarity == pytest.approx(reference.linear_cka(own[kept], x), abs=1e-6)
    assert told.ceiling == pytest.approx(reference.linear_cka(own[kept], found[kept]), abs=1e-6)
    assert told.debiased is not None
    assert told.debiased.stir == pytest.approx(reference.debiased_cka(x, y), abs=1e-6)
    assert told.floor is not None


def test_the_share_and_the_thresholds_are_told(out: Path, score: Score) -> None:
    told = score.accepted
    assert told is not None
    (note,) = [note for note in score.notes if "are accepted" in note]
    for shown in (f"{told.share:.0%}", f"{told.spearman:.3f}", f"{told.snr:.2f} dB", "class"):
        assert shown in note
    result = StirResult.load(out)
    for text in (table(result), html_table(result), (out / "report.html").read_text("utf-8")):
        assert f"accepted ({told.share:.0%})" in text
        assert f"{told.stir:.3f}" in text
    plain = json.loads((out / "result.json").read_text("utf-8"))
    assert {one["accepted"]["num_samples"] >= 0 for one in plain["scores"]} == {True}
    assert StirResult.from_dict(plain) == StirResult.from_dict(result.to_dict())


def test_other_methods_have_neither_the_column_nor_the_scores(tmp_path: Path) -> None:
    found = inverted(Net(), pictures(5), tmp_path, method="paper", steps=2)
    assert found.class_kept is None
    assert not any("class_kept" in row for row in rows(tmp_path))
    assert acceptance_of(found) is None
    score = judged(Net(1), tmp_path)
    assert score.accepted is None
    assert "accepted" not in table(StirResult((score,)))


def test_without_classes_they_are_left_out_and_a_note_says_so(tmp_path: Path) -> None:
    found = inverted(Net(), pictures(5), tmp_path, method="metamer", steps=2)
    assert {row["class_kept"] for row in rows(tmp_path)} == {None}
    assert found.class_kept is None
    score = judged(Net(1), tmp_path)
    assert score.accepted is not None
    assert not score.accepted.by_class
    assert any("without comparing classes" in note for note in score.notes)


def test_too_few_accepted_have_no_scores_and_a_note_says_so(tmp_path: Path) -> None:
    inverted(Net(), pictures(8), tmp_path, method="metamer:step_size=1e-6", steps=1)
    score = judged(Net(1), tmp_path)
    assert score.accepted is not None
    assert score.accepted.share == score.accepted.num_samples == 0
    assert score.accepted.stir is score.accepted.ceiling is None
    assert score.stir is not None
    assert any("of the accepted inversions are undefined" in note for note in score.notes)


def test_the_pairs_are_of_originals_and_not_of_draws(tmp_path: Path) -> None:
    found = inverted(Net(), pictures(6), tmp_path, method="metamer", steps=3, draws=2)
    once = inverted(Net(), pictures(6), method="metamer", steps=3)
    one, two = acceptance_of(found), acceptance_of(once)
    assert one is not None
    assert two is not None
    assert one.limits == pytest.approx(two.limits)
    assert len(one.rows) == 2 * len(two.rows)
    np.testing.assert_array_equal(one.rows[::2], two.rows)


def test_a_set_of_metamers_continues_as_one_run(tmp_path: Path) -> None:
    how: dict[str, Any] = {"method": "metamer", "steps": 3}
    inverted(Net(), pictures(8), tmp_path / "a", num_samples=4, **how)
    longer = inverted(Net(), pictures(8), tmp_path / "a", num_samples=8, **how)
    fresh = inverted(Net(), pictures(8), **how, num_samples=8)
    np.testing.assert_array_equal(np.asarray(longer.inverted), np.asarray(fresh.inverted))
