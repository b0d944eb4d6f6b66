"""`--dry-run`: what a run would take, from a few passes."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import stir_hf
from stir_hf.demo import IMAGES, model_path
from stir_hf.report.estimates import duration, size
from tests.test_cli import run
from tests.test_faults_models import Failing
from tests.tiny import pictures

MODELS = [model_path("standard-0"), model_path("robust-0")]
QUICK: dict[str, Any] = {"num_samples": 30, "device": "cpu"}


def test_it_says_what_is_left_and_keeps_nothing(tmp_path: Path) -> None:
    before = set(tmp_path.iterdir())
    found = stir_hf.estimate(MODELS, str(IMAGES), verb="compare", **QUICK, out=tmp_path, steps=7)
    assert [(one.rows, one.passes) for one in found] == [(30, 7), (30, 7)]
    for one in found:
        assert one.seconds == pytest.approx(30 * 7 * one.seconds_per_pass[0])
        assert one.scoring_seconds > 0
        assert one.memory[0] > 1e8
    assert set(tmp_path.iterdir()) == before


@pytest.mark.verify
def test_what_is_there_is_not_made_again(tmp_path: Path) -> None:
    stir_hf.invert(MODELS[0], str(IMAGES), num_samples=20, steps=3, out=tmp_path, progress=False)
    rows = sum(path.stat().st_size for path in tmp_path.glob("inversions/*/*.parquet"))
    found = {}
    for count in (20, 50):
        options: dict[str, Any] = {"num_samples": count, "steps": 3, "out": tmp_path}
        (found[count],) = stir_hf.estimate(MODELS[:1], str(IMAGES), verb="invert", **options)
    assert (found[20].rows, found[50].rows) == (0, 30)
    assert found[50].disk == pytest.approx(rows * 1.5, rel=0.3)


def test_restarts_are_counted() -> None:
    how: dict[str, Any] = {"verb": "invert", **QUICK, "steps": 7}
    (found,) = stir_hf.estimate(MODELS[:1], str(IMAGES), **how, restarts=3)
    assert found.passes == 21
    assert found.seconds == pytest.approx(30 * 21 * found.seconds_per_pass[0])


def test_it_refuses_what_the_verb_refuses() -> None:
    with pytest.raises(stir_hf.RequestError, match="unknown option"):
        stir_hf.estimate(MODELS[:1], str(IMAGES), verb="invert", measure="linear_cka")
    with pytest.raises(stir_hf.RequestError, match="too few"):
        stir_hf.estimate(MODELS, str(IMAGES), num_samples=2)


def test_it_halves_the_batch_as_the_run_does() -> None:
    error = torch.OutOfMemoryError("CUDA out of memory.")
    (found,) = stir_hf.estimate(
        [Failing(error, 5)], pictures(20), verb="invert", batch_size=8, steps=10
    )
    assert found.rows == 20


@pytest.mark.verify
def test_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["compare", *MODELS, "--dataset", str(IMAGES), "--num-samples", "10", "--dry-run"]
    code, said, _ = run(words, capsys)
    assert code == 0
    assert said.count("10 inversions, at most") == 2
    assert "In all at most" in said
    code, said, _ = run([*words, "--json"], capsys)
    assert (code, len(json.loads(said)["estimates"])) == (0, 2)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.4, "0.4 seconds"), (80, "80 seconds"), (100, "1.7 minutes"), (9000, "2.5 hours")],
)
def test_durations(seconds: float, told: str) -> None:
    assert duration(seconds) == told


def test_sizes() -> None:
    assert [size(n) for n in (5, 5e3, 1.25e7, 3e12)] == ["5 bytes", "5 kB", "12.5 MB", "3 TB"]
