"""Networks of equal weights that noise does not tell apart: images, their contrast and the
configuration do.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import stir_hf
from stir_hf import RequestError
from stir_hf.data.identity import order_of
from stir_hf.demo import IMAGES, model_path
from stir_hf.models.load.configuration import entries
from tests.tiny import inverted, judged, noise_images, record

HOW: dict[str, Any] = {"num_samples": 12, "steps": 3, "progress": False}


def edited(folder: str, into: Path, **changes: Any) -> str:
    """A checkpoint with other entries in its configuration."""
    copy = Path(shutil.copytree(folder, into))
    config = json.loads((copy / "config.json").read_text("utf-8"))
    (copy / "config.json").write_text(json.dumps({**config, **changes}), "utf-8")
    return str(copy)


@pytest.mark.verify
def test_another_activation_is_named(tmp_path: Path) -> None:
    folder = edited(model_path("robust-0"), tmp_path / "net")
    made = stir_hf.invert(folder, str(IMAGES), out=tmp_path / "out", **HOW)
    edited(model_path("robust-0"), tmp_path / "other", hidden_act="relu6")
    shutil.copy(tmp_path / "other" / "config.json", tmp_path / "net")
    said = r"different outputs \(its configuration differs: hidden_act is 'relu6' and was 'relu'"
    with pytest.raises(RequestError, match=said):
        stir_hf.invert(folder, str(IMAGES), out=tmp_path / "out", **HOW)
    fresh = stir_hf.invert(folder, str(IMAGES), out=tmp_path / "fresh", **HOW)
    assert not np.allclose(fresh.representation, made.representation, rtol=1e-3)
    with pytest.raises(RequestError, match="have the same weights but different outputs"):
        stir_hf.compare(folder, model_path("robust-0"), str(IMAGES), **HOW)
    (one,) = stir_hf.score(folder, made, progress=False).scores
    assert not any("same network" in note for note in one.notes)
    (same,) = stir_hf.score(model_path("robust-0"), made, progress=False).scores
    assert any("same network" in note for note in same.notes)


@pytest.mark.parametrize(
    "changes",
    [
        {"id2label": {str(i): f"class {i}" for i in range(10)}},
        {"transformers_version": "4.0.0"},
        {"problem_type": "regression", "return_dict": False},
        {"a_name_that_is_new": 3},
        {"training_date": "tuesday"},
    ],
    ids=lambda c: next(iter(c)),
)
def test_entries_without_effect_are_no_change(changes: dict[str, Any], tmp_path: Path) -> None:
    folder = edited(model_path("robust-0"), tmp_path / "net")
    stir_hf.invert(folder, str(IMAGES), out=tmp_path / "out", **HOW)
    edited(model_path("robust-0"), tmp_path / "other", **changes)
    shutil.copy(tmp_path / "other" / "config.json", tmp_path / "net")
    assert len(stir_hf.invert(folder, str(IMAGES), out=tmp_path / "out", **HOW)) == 12


def test_entries_of_inner_configurations_are_told_by_their_place() -> None:
    import transformers as tf

    sizes: dict[str, Any] = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    config = tf.CLIPConfig(
        text_config={**sizes, "vocab_size": 9}, vision_config={**sizes, "image_size": 32}
    )
    module = nn.Module()
    module.config = config  # type: ignore[assignment]  # as transformers does
    found = entries(module)
    assert found["vision_config.image_size"] == 32
    assert found["text_config.hidden_act"] == "quick_gelu"
    assert not [name for name in found if "dropout" in name or "initializer" in name]
    assert entries(nn.Linear(2, 2)) == {}


def test_only_plain_entries_that_the_class_has_are_compared() -> None:
    import transformers as tf

    module = nn.Module()
    more: dict[str, Any] = {"training_date": "mon", "act": torch.tanh, "best": float("nan")}
    module.config = tf.ResNetConfig(**more)  # type: ignore[assignment]  # as transformers does
    found = entries(module)
    assert found["hidden_act"] == "relu"
    assert not {*more} & {*found}

    class Own:
        def __init__(self, size: int) -> None:
            self.size = size

        def to_dict(self) -> dict[Any, Any]:
            return {"size": self.size, "act": torch.tanh, "nan": float("nan"), 3: {(1, 2): 4}}

    module.config = Own(5)  # type: ignore[assignment]  # as above
    assert entries(module) == {"size": 5, "3.(1, 2)": 4}


class Sees(nn.Module):
    """Passes values on as they are up to a bound, by its contrast: `least` of it is needed."""

    def __init__(self, bound: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.f, self.bound = nn.Linear(192, 6), bound

    def forward(self, x: Tensor) -> Tensor:
        spread = x.flatten(1).std(1, keepdim=True)
        found: Tensor = self.f(x.flatten(1)) * torch.where(spread > self.bound, 2.0, 1.0)
        return found


def test_images_at_high_contrast_are_looked_at(tmp_path: Path) -> None:
    """Noise in [0, 1] has a deviation of 0.29, and at most 0.5 is there at high contrast."""
    inverted(Sees(0.4), noise_images(8), tmp_path)
    with pytest.raises(RequestError, match="its forward pass or a constant in it has changed"):
        inverted(Sees(0.9), noise_images(8), tmp_path)


def test_images_are_recorded_by_their_canvas_so_that_a_set_may_grow(tmp_path: Path) -> None:
    images = noise_images(9)
    images[int(order_of(9, 9)[1])] = images[int(order_of(9, 9)[0])]  # three of four that differ
    inverted(Sees(9), images, tmp_path, num_samples=4)
    assert len(record(tmp_path)["originals"]) == 3
    made = inverted(Sees(9), images, tmp_path, num_samples=9)
    assert len(made) == 9
    assert judged(Sees(9), made).stir == pytest.approx(1, abs=0.5)
