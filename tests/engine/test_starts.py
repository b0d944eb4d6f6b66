"""Starts are drawn from (seed, index, draw) alone."""

import numpy as np
import pytest
import torch
from torch import Tensor

from stir_hf.engine import STARTS, Other, start_value
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


@pytest.mark.parametrize(
    "kind", [n for n in STARTS.names if n not in ("given", "other", "mixture")]
)
def test_what_a_start_says_of_itself_is_so(kind: str) -> None:
    part = STARTS.parse(kind)
    assert start(kind).dtype == torch.float32
    assert start(kind).shape == SHAPE
    assert torch.equal(start(kind), start(kind, index=4)) is part.shared
    assert torch.equal(start(kind), start(kind, draw=1)) is not part.random


def test_given_starts_are_not_drawn() -> None:
    with pytest.raises(ValueError, match="handed in"):
        start("given")


def test_a_mixture_is_one_noise_white_and_black_in_turn_by_the_index() -> None:
    for index in range(9):
        expected = ("noise-same", "white", "black")[index % 3]
        assert torch.equal(start("mixture", index=index), start(expected, index=index))


def test_another_restart_is_another_start_and_the_first_is_as_ever() -> None:
    key = {"seed": 3, "index": 5, "draw": 1}
    values = [start_value(STARTS.parse("noise"), SHAPE, **key, again=n) for n in range(3)]
    assert torch.equal(values[0], start_value(STARTS.parse("noise"), SHAPE, **key))
    assert len({value.sum().item() for value in values}) == 3


def test_no_place_is_its_own_start_and_growing_keeps_all_of_them() -> None:
    other = Other()
    drawn = 0
    for place in range(100):
        for draw in range(100):
            few = other.places(place, 100, seed=1, index=7 * place, draw=draw)
            many = other.places(place, 1000, seed=1, index=7 * place, draw=draw)
            first = [next(few) for _ in range(3)]
            assert first == [next(many) for _ in range(3)]
            assert place not in first
            assert max(first) < max(place, 2)
            drawn += len(first)
    assert drawn == 30_000


def test_other_starts_are_spread_over_the_earlier_places() -> None:
    firsts = [next(Other().places(50, 60, seed=0, index=i, draw=0)) for i in range(2000)]
    counts = np.bincount(firsts, minlength=50)
    assert counts.min() > 15
    assert counts.max() < 75
    every = list(Other().places(3, 8, seed=0, index=3, draw=0))
    assert set(every) == {0, 1, 2, 4, 5, 6, 7}


def test_other_starts_are_not_drawn() -> None:
    with pytest.raises(ValueError, match="another original"):
        start("other")
