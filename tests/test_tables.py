"""Sets that were made otherwise, in one table."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torch import nn

import stir_hf
from stir_hf import Inversions, RequestError
from stir_hf.engine import CONSTRAINTS
from tests.conftest import TinyModels
from tests.test_parts import NearBall
from tests.tiny import Net, compared, inverted, noise_images

IMAGES = noise_images(8)
OTHERS: dict[str, Any] = {
    "autocast": True,
    "tf32": True,
    "seed": 1,
    "draws": 2,
}


REFUSED: dict[str, tuple[Any, str]] = {
    "tolerance": (0.3, "0.02"),
    "steps": (3, "2"),
    "exact": (True, "False"),
    "method": ("paper:step_size=0.3", "adam-polyak"),
    "start": ("uniform", "noise"),
}
"""Options of the engine: another value, and the one in `inverted`."""


@pytest.mark.parametrize("name", REFUSED)
def test_sets_of_other_options_of_the_engine_are_refused(name: str, tmp_path: Path) -> None:
    value, usual = REFUSED[name]
    plain = inverted(Net(), IMAGES, tmp_path / "a")
    other = inverted(Net(), IMAGES, tmp_path / "b", **{"steps": 2, name: value})
    with pytest.raises(RequestError) as told:
        stir_hf.score([Net(1)], [plain, other], progress=False)
    first, second = plain.path.name, other.path.name
    assert f"{name}: {usual}" in str(told.value)
    assert f" ({first}), {value}" in str(told.value)
    assert str(told.value).count(f" ({second})") == 1 + (name == "method")  # its restarts differ
    assert "choose one set with --set" in str(told.value)


@pytest.mark.parametrize("name", OTHERS)
def test_settings_that_differ_are_told_with_every_score(name: str, tmp_path: Path) -> None:
    plain = inverted(Net(), IMAGES, tmp_path / "a")
    other = inverted(Net(), IMAGES, tmp_path / "b", **{name: OTHERS[name]})
    scores = stir_hf.score([Net(1), Net(2)], [plain, other], progress=False).scores
    assert len(scores) == 4
    for score in scores:
        (note,) = [n for n in score.notes if "different estimates" in n]
        assert note.startswith(f"the inversion sets differ in {name}: ")
        assert other.path.name in note
    for one in (plain, other):
        (alone,) = stir_hf.score(Net(1), one, progress=False).scores
        assert not any("different estimates" in note for note in alone.notes)


def test_the_precision_of_each_set_is_told(tmp_path: Path) -> None:
    result = compared(Net(), Net(1).double(), IMAGES)
    for score in result.scores:
        assert any("differ in dtype: float64 (" in note for note in score.notes)
    assert not any(
        "different" in n for s in compared(Net(), Net(1), IMAGES).scores for n in s.notes
    )


def test_all_sets_of_a_value_are_named_and_other_data_and_canvases_are_told(tmp_path: Path) -> None:
    how: list[tuple[Any, dict[str, Any]]] = [
        (IMAGES, {}),
        (IMAGES, {"seed": 3}),
        (IMAGES, {"seed": 3, "draws": 2}),
        (noise_images(8, seed=4), {}),
    ]
    sets = [inverted(Net(), data, **more) for data, more in how]
    names = [one.path.name for one in sets]
    (note,) = {n for s in stir_hf.score(Net(1), sets, progress=False).scores for n in s.notes[-1:]}
    assert f"seed: 0 ({names[0]} {names[3]}), 3 ({names[1]})" in note
    assert "first images of " in note
    larger = [Image.fromarray(np.kron(np.asarray(i), np.ones((2, 2, 1), np.uint8))) for i in IMAGES]
    pooled = nn.Sequential(nn.AdaptiveAvgPool2d(8), Net())
    two = [inverted(pooled, data) for data in (IMAGES, larger)]
    (score, _) = stir_hf.score(pooled, two, progress=False).scores
    assert any("canvas of " in note for note in score.notes)


def test_networks_of_other_canvases_in_one_run_are_alike(tiny_models: TinyModels) -> None:
    larger = nn.Sequential(nn.AdaptiveAvgPool2d(8), Net())
    for score in compared(tiny_models.vit, larger, noise_images(6, 40)).scores:
        assert not any("differ in" in note for note in score.notes)
    others = [inverted(Net(), noise_images(n)) for n in (8, 9)]
    for score in stir_hf.score(Net(1), others, progress=False).scores:
        assert any(
            "differ in data: ['a dataset in memory', None, 8, None]" in n for n in score.notes
        )


def test_sets_of_other_constraints_are_refused(tmp_path: Path) -> None:
    CONSTRAINTS.add("near-ball")(NearBall)
    try:
        sets: list[Inversions] = [
            inverted(Net(), IMAGES),
            inverted(Net(), IMAGES, constraint="near-ball"),
        ]
        with pytest.raises(
            RequestError, match=r"differ in constraint: box .* near-ball:radius=2.0"
        ):
            stir_hf.score(nn.Flatten(), sets, progress=False)
    finally:
        CONSTRAINTS.remove("near-ball")
