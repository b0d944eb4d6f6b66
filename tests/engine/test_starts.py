"""Starts are drawn from (seed, index, draw) alone."""

import pytest
import torch
from torch import Tensor

from stir_hf.engine import STARTS, start_value
from tests.engine.problems import SHAPE


def start(kind: str, **changed: int) -> Tensor:
    key = {"seed": 0, "index": 3, "draw": 0, **changed}
    return start_value(STARTS.parse(kind), SHAPE, **key)


def test_starts_are_drawn_from_seed_index_and_draw_alone() -> None:
    assert torch.equal(start("noise"), start("noise"))
    for changed in ({"seed": 1}, {"index": 4}, {"draw": 1}):
        assert not torch.equal(start("noise"), start("noise", **changed))
    assert torch.equal(start("noise-same"), start("noise-same", index=9))
    assert not torch.equal(start("uniform"), start("uniform", index=9))
    assert 0 <= float(start("uniform").min()) < float(start("uniform").max()) <= 1
    assert float(start("white").min()) == 1
    assert float(start("black").max()) == 0
    many = torch.stack([start("noise", index=i) for i in range(200)])
    assert abs(float(many.mean())) < 0.02
    assert abs(float(many.std()) - 1) < 0.02


@pytest.mark.parametrize("kind", [name for name in STARTS.names if name != "given"])
def test_what_a_start_says_of_itself_is_so(kind: str) -> None:
    part = STARTS.parse(kind)
    assert start(kind).dtype == torch.float32
    assert start(kind).shape == SHAPE
    assert torch.equal(start(kind), start(kind, index=4)) is part.shared
    assert torch.equal(start(kind), start(kind, draw=1)) is not part.random


def test_given_starts_are_not_drawn() -> None:
    with pytest.raises(ValueError, match="handed in"):
        start("given")
