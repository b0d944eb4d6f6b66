"""Constraints: the box, balls, Fourier coefficients, and none."""

from typing import Any

import pytest
import torch

from stir_hf.engine import (
    AdamPolyak,
    Box,
    Constraint,
    InversionConfig,
    Item,
    Paper,
    Rule,
    Smooth,
)
from tests.engine.problems import errors, items, network, run


def constraint(text: str) -> Constraint:
    options: dict[str, Any] = {"constraint": text}
    return InversionConfig(**options).bound_by


def around(work: list[Item], radius: float) -> list[Item]:
    """Each item with an origin of its own, from which its start is far."""
    generator = torch.Generator().manual_seed(5)
    return [
        Item(w.key, w.start, w.target, torch.rand(w.start.shape, generator=generator).double())
        for w in work
    ]


@pytest.mark.parametrize(
    "rule", [AdamPolyak(), Smooth(), Paper()], ids=["adam-polyak", "smooth", "paper"]
)
@pytest.mark.parametrize(
    ("text", "order"),
    [("l2:radius=1.5,around=original", 2.0), ("linf:radius=0.25,around=original", torch.inf)],
)
@pytest.mark.parametrize("batch", [2, 5])
def test_a_ball_around_the_original(rule: Rule, text: str, order: float, batch: int) -> None:
    net, ball = network(), constraint(text)
    work = around(items(net, 5), 1.5)
    origins = [w.origin for w in work if w.origin is not None]
    found = run(net, work, rule, passes=60, tolerance=0.05, batch=batch, constraint=ball)
    radius = float(text.partition("=")[2].partition(",")[0])
    distances = [
        float(torch.linalg.vector_norm(r.value - o, ord=order))
        for r, o in zip(found, origins, strict=True)
    ]
    assert max(distances) <= radius + 1e-9
    assert max(distances) > 0.9 * radius
    before = [Item(w.key, w.start, w.target) for w in work]
    start = ball.project(torch.stack([w.start for w in work]), torch.stack(origins))
    first = (net(start) - torch.stack([w.target for w in work])).norm(dim=1)
    first /= torch.stack([w.target for w in work]).norm(dim=1)
    assert (errors(net, before, found) < first).all()


def test_a_ball_without_its_original_is_refused() -> None:
    net = network()
    with pytest.raises(ValueError, match="needs its origin"):
        run(
            net,
            items(net, 2),
            AdamPolyak(),
            passes=3,
            constraint=constraint("l2:radius=1,around=original"),
        )


def test_the_box_blocks_what_would_leave_it() -> None:
    x = torch.tensor([[0.0, 0.0, 1.0, 1.0, 0.5, 1e-30, 1 - 2**-24, 0.0]])
    gradient = torch.tensor([[1.0, -1.0, 1.0, -1.0, 1e-38, 5.0, -3.0, 0.0]])
    free = torch.tensor([[0.0, -1.0, 1.0, 0.0, 1e-38, 5.0, -3.0, 0.0]])
    assert torch.equal(Box().free(x, gradient, None), free)
    outside = torch.tensor([[-1.0, 0.25, 2.0]])
    assert torch.equal(Box().project(outside, None), torch.tensor([[0.0, 0.25, 1.0]]))
