"""Inverting in bfloat16 autocast: other passes, the same measure."""

from pathlib import Path

import numpy as np
import pytest
import torch

from stir_hf import RequestError, load_encoder
from stir_hf.demo import IMAGES, model_path
from stir_hf.engine import relative_error
from tests.tiny import Net, inverted, pictures, record

DEMO = {"num_samples": 6, "steps": 30, "exact": True}


def test_errors_are_those_of_the_network_in_float32(tmp_path: Path) -> None:
    model = model_path("robust-0")
    made = inverted(model, IMAGES, tmp_path, autocast=True, **DEMO)
    encoder = load_encoder(model)
    images, found = (
        torch.from_numpy(made.values(name, range(len(made)))) for name in ("image", "inverted")
    )
    with torch.no_grad():
        target, reached = encoder(images), encoder(found)
    np.testing.assert_allclose(made.relative_error, relative_error(reached, target), rtol=1e-4)
    np.testing.assert_allclose(
        made.vectors("representation", range(6)), target, rtol=1e-4, atol=1e-5
    )
    assert float(np.median(made.relative_error)) < 0.2


def test_it_makes_another_set_and_is_left_out_of_the_identity_where_it_is_off(
    tmp_path: Path,
) -> None:
    plain = inverted(Net(), pictures(5), tmp_path / "plain", steps=3)
    cast = inverted(Net(), pictures(5), tmp_path / "cast", steps=3, autocast=True)
    assert plain.manifest.hash != cast.manifest.hash
    precision = record(tmp_path / "plain")["identity"]["network"]["precision"]
    assert precision == {"dtype": "float32", "tf32": False}
    assert cast.manifest.identity["network"]["precision"]["autocast"] == "bfloat16"


def test_the_pass_really_is_in_bfloat16() -> None:
    seen: list[torch.dtype] = []

    class Seen(Net):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = super().forward(x)
            seen.append(out.dtype)
            return out

    inverted(Seen(), pictures(5), steps=3, autocast=True)
    assert {torch.float32, torch.bfloat16} <= set(seen)


def test_a_judged_model_is_the_same_network(tmp_path: Path) -> None:
    from stir_hf import score

    made = inverted(Net(), pictures(8), tmp_path, steps=3, autocast=True)
    (found,) = score(Net(), made, progress=False).scores
    assert any("the same network" in note for note in found.notes)


def test_it_is_for_float32_networks() -> None:
    with pytest.raises(RequestError, match=r"autocast is for float32 networks; .* is in float64"):
        inverted(Net().double(), pictures(5), steps=3, autocast=True)
    with pytest.raises(RequestError, match="autocast must be True or False, not 'yes'"):
        inverted(Net(), pictures(5), steps=3, autocast="yes")
