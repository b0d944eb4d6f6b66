"""The main job, end to end, on the embedded networks."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor, nn

import stir_hf
from stir_hf.data.sets.located import find_sets
from stir_hf.demo import IMAGES, MODELS, STEPS, model_path
from tests import warm
from tests.conftest import keep_figures

STANDARD, ROBUST = model_path("standard-0"), model_path("robust-0")
QUICK: dict[str, Any] = {"num_samples": 12, "steps": 30, "progress": False}


class Rotated(nn.Module):
    """A network whose output is the encoder's, rotated and scaled."""

    def __init__(self, path: str, rotation: Tensor, scale: float) -> None:
        super().__init__()
        self.encoder = stir_hf.load_encoder(path)
        self.inner = self.encoder.module
        self.rotation, self.scale = rotation, scale

    def forward(self, images: Tensor) -> Tensor:
        return self.scale * self.encoder(images) @ self.rotation


def test_compare_gives_both_directions_with_anchors(tmp_path: Path) -> None:
    result = stir_hf.compare(STANDARD, ROBUST, str(IMAGES), out=tmp_path, **QUICK)
    forward, backward = result.scores
    assert re.fullmatch(r"standard-0#[0-9a-f]{8}", forward.model)
    assert re.fullmatch(r"robust-0#[0-9a-f]{8}", forward.reference)
    assert (backward.model, backward.reference) == (forward.reference, forward.model)
    assert forward.similarity == pytest.approx(backward.similarity, abs=1e-6)
    for score in result.scores:
        assert score.num_samples == 12
        assert score.stir is not None
        assert score.floor is not None
        assert score.ceiling is not None
        assert score.floor < score.ceiling <= 1
    assert stir_hf.StirResult.load(tmp_path) == stir_hf.StirResult.from_dict(result.to_dict())
    assert len(find_sets(tmp_path)) == 2


def test_a_network_shares_its_own_invariances() -> None:
    how: dict[str, Any] = {"steps": 1000, "tolerance": 0.01}
    how["method"] = "adam-polyak:length=0.5,half=0,decay=0.9"
    inversions = stir_hf.invert(
        ROBUST, str(IMAGES), num_samples=12, exact=True, progress=False, **how
    )
    assert inversions.relative_error.mean() < 0.01
    score = stir_hf.score(ROBUST, inversions, progress=False).scores[0]
    assert score.stir is not None
    assert score.stir >= 0.99
    assert score.stir == pytest.approx(score.ceiling, abs=1e-6)


def test_rotation_and_scale_of_the_judged_model_change_nothing(tmp_path: Path) -> None:
    inversions = stir_hf.invert(ROBUST, str(IMAGES), out=tmp_path, **QUICK)
    rotation = torch.linalg.qr(torch.randn(80, 80, generator=torch.Generator().manual_seed(0)))[0]
    plain = stir_hf.score(STANDARD, inversions, progress=False).scores[0]
    rotated = stir_hf.score(Rotated(STANDARD, rotation, 7.0), inversions, progress=False).scores[0]
    assert rotated.stir == pytest.approx(plain.stir, abs=1e-5)
    assert rotated.debiased is not None
    assert plain.debiased is not None
    assert rotated.debiased.stir == pytest.approx(plain.debiased.stir, abs=1e-5)


def test_batch_size_does_not_change_a_score() -> None:
    scores = [
        stir_hf.compare(STANDARD, ROBUST, str(IMAGES), batch_size=b, **QUICK).scores
        for b in (5, 12)
    ]
    for one, other in zip(*scores, strict=True):
        assert one.stir == pytest.approx(other.stir, abs=1e-5)
        assert one.floor == pytest.approx(other.floor, abs=1e-5)


@pytest.mark.verify
def test_batch_sizes_7_and_64_on_every_pair_of_the_demo() -> None:
    runs = [
        stir_hf.matrix([model_path(m) for m in MODELS], str(IMAGES), steps=STEPS, batch_size=b)
        for b in (7, 64)
    ]
    differences = np.array(
        [
            [getattr(a, n) - getattr(b, n) for n in ("stir", "similarity", "floor", "ceiling")]
            for a, b in zip(*(run.scores for run in runs), strict=True)
        ]
    )
    keep_figures(
        "batch_sizes",
        {
            "batch_sizes": [7, 64],
            "pairs": 12,
            "largest_difference": float(np.abs(differences).max()),
        },
    )
    assert np.abs(differences).max() < 1e-5


def test_exactly_the_images_asked_for_each_once() -> None:
    inversions = stir_hf.invert(
        ROBUST, str(IMAGES), draws=2, batch_size=5, **{**QUICK, "num_samples": 7}
    )
    assert len(inversions) == 14
    assert np.array_equal(np.unique(inversions.index, return_counts=True)[1], np.full(7, 2))
    first, second = inversions.inverted[0], inversions.inverted[1]
    assert (inversions.draw[0], inversions.draw[1]) == (0, 1)
    assert np.abs(first - second).mean() > 0.05


def test_stored_error_is_that_of_the_stored_image() -> None:
    inversions = stir_hf.invert(ROBUST, str(IMAGES), **QUICK)
    encoder = stir_hf.load_encoder(ROBUST)
    with torch.no_grad():
        pairs = (torch.from_numpy(x[:]) for x in (inversions.image, inversions.inverted))
        target, reached = (encoder(x) for x in pairs)
    error = ((reached - target).norm(dim=1) / target.norm(dim=1)).numpy()
    np.testing.assert_allclose(inversions.relative_error, error, rtol=1e-5)


def test_floor_is_undefined_for_one_start_for_all() -> None:
    result = stir_hf.compare(STANDARD, ROBUST, str(IMAGES), start="noise-same", **QUICK)
    assert result.scores[0].floor is None
    assert any("floor undefined" in note for note in result.scores[0].notes)


class Blind(nn.Module):
    """Sees nothing but whether there is a bright corner: all starts look alike to it, images do
    not.
    """

    def forward(self, images: Tensor) -> Tensor:
        smooth = images.mean((1, 2, 3))
        return torch.stack((torch.ones_like(smooth), (smooth - 0.5).abs().clamp_min(0.05)), dim=1)


def test_floor_is_undefined_where_the_model_cannot_tell_the_starts_apart() -> None:
    starts = torch.full((12, 1, 28, 28), 0.5)
    inversions = stir_hf.invert(
        ROBUST, str(IMAGES), start="given", starts=starts.requires_grad_(), **QUICK
    )
    score = stir_hf.score(
        stir_hf.load_encoder(Blind(), channels=1), inversions, progress=False
    ).scores[0]
    assert score.debiased is not None
    assert score.floor is score.debiased.floor is None
    assert score.stir is not None
    assert any(note.startswith("floor undefined") for note in score.notes)


def test_networks_of_one_class_are_told_apart() -> None:
    torch.manual_seed(0)
    networks = [nn.Sequential(nn.Flatten(), nn.Linear(784, 6)) for _ in range(3)]
    result = stir_hf.matrix(networks, str(IMAGES), image_mode="L", **QUICK)
    assert {s.model for s in result.scores} == {"Sequential-1", "Sequential-2", "Sequential-3"}
    assert len({(s.model, s.reference) for s in result.scores}) == 6
    named = stir_hf.load_encoder(networks[0], channels=1, name="mine")
    assert (
        stir_hf.compare(named, networks[1], str(IMAGES), image_mode="L", **QUICK).scores[0].model
        == "mine"
    )


def test_start_tensor_can_be_handed_in() -> None:
    starts = torch.rand(12, 1, 28, 28, generator=torch.Generator().manual_seed(3))
    inversions = stir_hf.invert(ROBUST, str(IMAGES), start="given", starts=starts, **QUICK)
    np.testing.assert_allclose(inversions.values("start"), starts.numpy(), atol=1e-7)
    assert stir_hf.score(STANDARD, inversions, progress=False).scores[0].floor is not None


def test_a_failed_inversion_says_so_first() -> None:
    result = stir_hf.compare(STANDARD, ROBUST, str(IMAGES), **{**QUICK, "steps": 2})
    assert result.scores[0].converged == 0
    assert "did not reach" in result.scores[0].notes[0]


@pytest.mark.verify
def test_kill_and_continue_gives_the_same_and_repeats_nothing(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "stir_hf",
        "invert",
        ROBUST,
        "--dataset",
        str(IMAGES),
        "--num-samples",
        "24",
        "--steps",
        "60",
        "--batch-size",
        "4",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def start(out: Path) -> "subprocess.Popen[bytes]":
        null = subprocess.DEVNULL
        return subprocess.Popen(
            [*command, "--out", str(out)], env=environment, stdout=null, stderr=null
        )

    assert start(tmp_path / "whole").wait() == 0
    process = start(tmp_path / "cut")
    while not (parts := list((tmp_path / "cut").glob("inversions/*/part-*.parquet"))):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = pq.read_table(parts[0]).to_pylist()
    assert len(kept) < 24
    with pytest.raises(stir_hf.RequestError, match="no finished inversions yet"):
        stir_hf.Inversions.load(tmp_path / "cut")
    again = subprocess.run(
        [*command, "--out", str(tmp_path / "cut")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == 0
    begun = int(re.findall(r"(\d+)/24", again.stderr)[0])
    assert begun >= len(kept)
    whole, cut = (stir_hf.Inversions.load(tmp_path / name) for name in ("whole", "cut"))
    assert np.array_equal(whole.index, cut.index)
    assert len(cut) == 24
    found = {row["index"]: row for row in cut.to_dataset().with_format("arrow")[:].to_pylist()}
    assert all(found[row["index"]] == row for row in kept)
    scores = [stir_hf.score(STANDARD, each, progress=False).scores[0] for each in (whole, cut)]
    assert scores[0].stir == pytest.approx(scores[1].stir, abs=1e-5)


def test_json_is_one_object_and_nothing_else(tmp_path: Path) -> None:
    words = [
        "-m",
        "stir_hf",
        "compare",
        STANDARD,
        ROBUST,
        "--dataset",
        str(IMAGES),
        "--num-samples",
        "6",
        "--steps",
        "5",
        "--out",
        str(tmp_path / "run"),
        "--json",
    ]
    done = warm.run(words, dict(os.environ))
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert printed == json.loads((tmp_path / "run" / "result.json").read_text())
    assert set(printed) == {"scores", "config", "environment"}
    assert {
        "model",
        "reference",
        "stir",
        "floor",
        "ceiling",
        "debiased",
        "interval",
        "relative_error",
        "converged",
    } <= set(printed["scores"][0])
    assert (tmp_path / "run" / "figures" / "pairs.png").stat().st_size > 1000
