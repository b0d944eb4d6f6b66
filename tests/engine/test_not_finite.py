"""An image whose values are not finite ends by itself; the others do not notice."""

from collections.abc import Callable
from math import isnan

import pytest
import torch
from torch import Tensor, nn

from stir_hf.engine import AdamPolyak, Item, Paper, Rule, Smooth, Watch
from tests.engine.problems import SHAPE, items, network, run, same

RULES = pytest.mark.parametrize(
    "rule", [AdamPolyak(), Smooth(), Paper()], ids=["adam-polyak", "smooth", "paper"]
)
SICK = 0.625


class Sick(nn.Module):
    """Looks at all but the first pixel, by which it knows the image that it spoils, and spoils it
    from a pass on.
    """

    def __init__(self, spoil: Callable[[Tensor], Tensor], healthy_passes: int) -> None:
        super().__init__()
        self.net, self.spoil, self.left = network(), spoil, healthy_passes

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.one(row) for row in x])

    def one(self, row: Tensor) -> Tensor:
        seen = row.clone()
        seen[0, 0, 0] = 0
        representation: Tensor = self.net(seen[None])
        if float(row.detach()[0, 0, 0]) != SICK:
            return representation
        self.left -= 1
        return representation if self.left >= 0 else self.spoil(representation)


def nan_representation(representation: Tensor) -> Tensor:
    return representation * torch.nan


def infinite_representation(representation: Tensor) -> Tensor:
    return representation + torch.inf


def infinite_gradient(representation: Tensor) -> Tensor:
    return representation + (representation - representation.detach()).sqrt()


SPOILS = [nan_representation, infinite_representation, infinite_gradient]


def marked(work: list[Item], sick: int) -> list[Item]:
    """The items, all but one of them healthy; no gradient reaches the first pixel, so that it
    stays as it is.
    """
    for i, item in enumerate(work):
        item.start[0, 0, 0] = SICK if i == sick else 0.25
    return work


UNFILTERED = Smooth(power=0)
"""The filter moves the pixel by which the sick image is known."""


@pytest.mark.parametrize(
    "rule", [AdamPolyak(), Smooth(), Paper()], ids=["adam-polyak", "smooth", "paper"]
)
@pytest.mark.parametrize("spoil", SPOILS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("healthy_passes", [0, 7])
@pytest.mark.parametrize("batch", [2, 4, 6])
def test_it_ends_by_itself(
    rule: Rule, spoil: Callable[[Tensor], Tensor], healthy_passes: int, batch: int
) -> None:
    if healthy_passes and rule == Smooth():
        rule = UNFILTERED
    net = Sick(spoil, healthy_passes)
    work = marked(items(net, 6), sick=1)
    found = run(net, work, rule, passes=31, tolerance=1e-6, batch=batch)
    assert [r.finite for r in found] == [True, False, True, True, True, True]
    assert found[1].passes == healthy_passes + 1
    alone = run(net, work[:1] + work[2:], rule, passes=31, tolerance=1e-6, batch=batch)
    assert same(found[:1] + found[2:], alone)
    assert [r.passes for r in alone] == [31] * 5


@RULES
def test_a_start_or_target_that_is_not_finite(rule: Rule) -> None:
    net = network()
    work = items(net, 4)
    bad = torch.full(SHAPE, torch.nan).double()
    work[1] = Item((1, 0), bad, work[1].target)
    work[2] = Item((2, 0), work[2].start, work[2].target * torch.inf)
    work.append(Item((4, 0), work[0].start, torch.zeros(12).double()))
    found = run(net, work, rule, passes=6)
    assert [r.finite for r in found] == [True, False, False, True, False]
    assert [r.passes for r in found] == [6, 1, 1, 6, 1]


def test_the_watch_leaves_it_out() -> None:
    net, seen = Sick(nan_representation, healthy_passes=0), list[Watch]()
    work = marked(items(net, 2), sick=0)
    run(net, work, AdamPolyak(), passes=5, watch=seen.append)
    assert seen[0].active == 2
    assert 0 < seen[0].error < 2
    run(net, work[:1], AdamPolyak(), passes=5, watch=seen.append)
    assert isnan(seen[-1].error)


def test_the_last_iterate_counts_too() -> None:
    net = Sick(nan_representation, healthy_passes=3)
    work = marked(items(net, 2), sick=0)
    assert [r.finite for r in run(net, work, AdamPolyak(), passes=3)] == [False, True]
    net.left = 4
    assert [r.finite for r in run(net, work, AdamPolyak(), passes=3)] == [True, True]


def test_what_comes_after_a_good_iterate_does_not_matter() -> None:
    net = Sick(nan_representation, healthy_passes=1)
    work = marked(items(net, 2), sick=0)
    found = run(net, work, AdamPolyak(), passes=5, tolerance=1e6)
    assert [(r.finite, r.passes) for r in found] == [(True, 1)] * 2


def test_a_pixel_that_nothing_looks_at_must_be_finite_too() -> None:
    net = Sick(nan_representation, healthy_passes=0)
    work = marked(items(net, 2), sick=-1)
    work[0].start[0, 0, 0] = torch.nan
    found = run(net, work, AdamPolyak(), passes=5, tolerance=1e6)
    assert [r.finite for r in found] == [False, True]
