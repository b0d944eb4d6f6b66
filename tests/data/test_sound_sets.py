"""Sets of every kind that the engine makes hold what their rows say."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from stir_hf import Inversions
from stir_hf.data.sources.canvases import Canvases
from tests.data.hostile import read
from tests.tiny import SIDE, Net, inverted, noise_images, pictures

KINDS: dict[str, dict[str, Any]] = {
    "converged": {"tolerance": 0.9},
    "max_steps": {"tolerance": 1e-6},
    "exact": {"exact": True, "tolerance": 0.1, "steps": 30},
    "draws": {"draws": 3},
    "of the spread": {"tolerance": "spread:0.5", "steps": 8},
    "paper": {"method": "paper", "steps": 3},
    "smooth": {"method": "smooth", "steps": 3},
    "given": {"start": "given", "starts": torch.rand(6, 3, SIDE, SIDE)},
    "float64": {"dtype": "float64", "steps": 30, "tolerance": 1e-3},
    "float64, of the spread": {"dtype": "float64", "tolerance": "spread:0.2", "steps": 12},
    "bfloat16": {"dtype": "bfloat16", "tolerance": 0.1, "steps": 20},
    "bfloat16, of the spread": {"dtype": "bfloat16", "tolerance": "spread:0.2", "steps": 20},
    "autocast": {"autocast": True, "tolerance": 0.1, "steps": 20},
    "grey": {"image_mode": "L"},
    "labelled": {"split": "test[:4]"},
}


class Grey(Net):
    """A network of one channel, thrice."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images.expand(-1, 3, -1, -1))


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_engine_makes_is_sound(kind: str, tmp_path: Path) -> None:
    options = {**KINDS[kind]}
    if kind == "labelled":
        data = pictures(6).add_column("label", list(range(6)))
        made = inverted(Net(), data, tmp_path)
    else:
        net: torch.nn.Module = Grey() if kind == "grey" else Net()
        net = net.to(getattr(torch, options.pop("dtype", "float32")))
        made = inverted(net, noise_images(6), tmp_path, **options)
    found = Inversions.load(tmp_path)
    assert len(found.to_dataset()) == len(made)
    if kind != "grey":
        read(made.path)


class Odd(Net):
    """Not finite for images that are dark on the whole."""

    def forward(self, images: Tensor) -> Tensor:
        dark = images.flatten(1).mean(1, keepdim=True) < 0.3
        return super().forward(images).masked_fill(dark, torch.nan)


def test_images_that_failed_do_no_harm(tmp_path: Path) -> None:
    images = noise_images(8)
    images[3] = images[3].point(lambda value: value // 4)
    made = inverted(Odd(), images, tmp_path)
    assert set(made.left_out.values()) == {"not_finite"}
    assert len(Inversions.load(tmp_path).to_dataset()) == len(made) < 8
    read(made.path)


def test_an_image_that_could_not_be_read_again_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inverted(Net(), noise_images(6), tmp_path)
    take = Canvases.take
    monkeypatch.setattr(Canvases, "take", lambda self, at: take(self, at) if at != 3 else None)
    made = inverted(Net(), noise_images(6), tmp_path, draws=2)
    assert list(made.left_out.values()) == ["unreadable"]
    assert len(made) == 10
    read(made.path)
    monkeypatch.undo()
    assert len(inverted(Net(), noise_images(6), tmp_path, draws=2)) == 12


def test_the_representation_of_large_values_is_sound(tmp_path: Path) -> None:
    made = inverted(Net(act=lambda x: 1e12 * x), noise_images(6), tmp_path)
    assert np.abs(Inversions.load(tmp_path).representation).max() > 1e10
    read(made.path)


def test_a_set_without_rows_is_sound(tmp_path: Path) -> None:
    made = inverted(Net(), noise_images(6), tmp_path)
    none = made.restrict_to(set())
    assert len(none.to_dataset()) == len(none.image[:]) == 0
    assert none.representation.shape[0] == 0
