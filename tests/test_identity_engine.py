"""The engine is spelt in full, and its figures and its starts are pinned."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import stir_hf
from stir_hf import RequestError
from tests.tiny import (
    Net,
    Watched,
    inverted,
    judged,
    pictures,
    record,
    values_of,
)

# Identity, points 2 and 3: the engine in full, its figures and its starts pinned


def test_the_most_passes_are_spelt_as_a_number(tmp_path: Path) -> None:
    stir_hf.invert(Net(), pictures(5), out=tmp_path, progress=False)
    assert set(values_of("steps", record(tmp_path))) == {200}


@pytest.mark.parametrize("part", ["adam-polyak", "noise", "box"])
def test_each_part_of_the_engine_is_spelt_with_its_version(part: str, tmp_path: Path) -> None:
    inverted(Net(), pictures(5), tmp_path)
    engine = [record(tmp_path)]
    for inner in engine:  # grows while it is walked: every dictionary of the record
        engine += [v for v in inner.values() if isinstance(v, dict)]
    assert {d.get("version") for d in engine if d.get("name") == part} == {1}


FIGURES: dict[str, tuple[list[float], list[float]]] = {
    "adam-polyak:length=0.5,half=0,decay=0.9": (
        [0.0735525, 0.0363788, 0.0401604, 0.0195893],
        [0.0616337, 0.2370125, 0.0885251, 0.306321],
    ),
    "paper": (
        [0.0342053, 0.1400909, 0.0915951, 0.1583131],
        [0.0, 0.0683557, 0.0, 0.5087941],
    ),
}
"""After 20 passes: the errors of four images, the first pixels of the first one."""


@pytest.mark.parametrize("method", FIGURES)
def test_the_figures_of_a_rule_stay_as_long_as_its_version(method: str) -> None:
    options: dict[str, Any] = {"steps": 20, "tolerance": 1e-6, "exact": True}
    found = inverted(Net(), pictures(4), method=method, **options)
    errors, pixels = FIGURES[method]
    np.testing.assert_allclose(found.relative_error, errors, atol=1e-4)
    np.testing.assert_allclose(found.inverted[0].flatten()[:4], pixels, atol=1e-4)


STARTS = {
    "noise": [-0.013905, -1.38206, -0.773995, 0.453845, 1.212171, 0.829681, 0.859418, 0.149276],
    "uniform": [0.013537, 0.880635, 0.380326, 0.890899, 0.351427, 0.854947, 0.545233, 0.068896],
    "grey": [0.49861, 0.361794, 0.422601, 0.545384, 0.621217, 0.582968, 0.585942, 0.514928],
    "noise-same": [
        -0.248229,
        -0.026767,
        -1.944416,
        0.524578,
        -0.144965,
        0.520392,
        -1.073449,
        -0.151087,
    ],
    "uniform-same": [0.135623, 0.014067, 0.937732, 0.257767, 0.386449, 0.471565, 0.617225, 0.09142],
}
"""The first eight values of image 2, seed 0, draw 0."""


@pytest.mark.parametrize("start", STARTS)
def test_the_stream_of_starts_is_pinned(start: str) -> None:
    net = Watched()
    inverted(net, pictures(5), method="paper", start=start)
    evaluated = torch.cat(net.seen).flatten(1)[:, :8]
    assert (evaluated - torch.tensor(STARTS[start])).abs().amax(1).min() < 1e-5


def test_another_stream_of_starts_leaves_the_floor_undefined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inverted(Net(), pictures(5), tmp_path)
    monkeypatch.setattr(np.random, "Philox", np.random.PCG64)
    found = judged(Net(1), tmp_path)
    assert found.floor is None
    assert any("floor" in note and "start" in note for note in found.notes)
    assert found.stir is not None


def test_another_stream_of_starts_does_not_continue_a_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inverted(Net(), pictures(12), tmp_path, num_samples=6)
    monkeypatch.setattr(np.random, "Philox", np.random.PCG64)
    with pytest.raises(RequestError):
        inverted(Net(), pictures(12), tmp_path, num_samples=10)
