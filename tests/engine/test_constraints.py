"""Constraints: the box, balls, Fourier coefficients, and none."""

from typing import Any

import numpy as np
import pytest
import torch

from stir_hf import RequestError
from stir_hf.engine import (
    CONSTRAINTS,
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


@pytest.mark.parametrize("text", ["l2:radius=0.7", "linf:radius=0.1"])
@pytest.mark.parametrize("around", ["start", "original"])
def test_a_ball_is_respected_with_the_bounds(text: str, around: str) -> None:
    net, ball = network(), constraint(f"{text},around={around}")
    work = wide(items(net, 5))
    found = run(net, work, AdamPolyak(), passes=40, tolerance=1e-9, constraint=ball)
    origins = [w.origin if around == "original" else w.start.clamp(0, 1) for w in work]
    values, centres = torch.stack([r.value for r in found]), torch.stack(origins)  # type: ignore[arg-type]
    assert float(values.min()) >= 0
    assert float(values.max()) <= 1
    assert float(ball.outside(values, centres).max()) <= 1e-9
    further = ball.outside(centres + 1, centres)
    size = 72**0.5 if text.startswith("l2") else 1.0
    torch.testing.assert_close(further, torch.full((5,), size - float(text[-3:])).double())


def wide(work: list[Item]) -> list[Item]:
    """Each item with an origin within the bounds."""
    generator = torch.Generator().manual_seed(6)
    return [
        Item(w.key, w.start, w.target, torch.rand(w.start.shape, generator=generator).double())
        for w in work
    ]


def test_a_step_along_a_sphere_keeps_what_does_not_push_outwards() -> None:
    ball, centre = constraint("l2:radius=1"), torch.zeros(3, 2).double()
    x = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.5, 0.0]]).double()
    gradient = torch.tensor([[-2.0, 3.0], [2.0, 3.0], [-2.0, 3.0]]).double()
    free = torch.tensor([[0.0, 3.0], [2.0, 3.0], [-2.0, 3.0]]).double()
    torch.testing.assert_close(ball.free(x, gradient, centre), free)


@pytest.mark.parametrize("shape", [(1, 7, 10), (3, 8, 8), (2, 5, 1)])
@pytest.mark.parametrize("decay", [0.0, 1.0, 2.0])
def test_fourier_coefficients_go_round(shape: tuple[int, ...], decay: float) -> None:
    fourier = CONSTRAINTS.parse(f"fourier:decay={decay}")
    images = torch.rand(4, *shape, generator=torch.Generator().manual_seed(0)).double()
    images = images.clamp(0.01, 0.99)
    unknowns = fourier.unknowns(images, (2, 3))
    assert unknowns.shape == (4, *shape, 2)
    torch.testing.assert_close(fourier.inputs(unknowns, (2, 3)), images, rtol=0, atol=1e-12)


def test_a_start_of_black_and_white_is_moved_by_less_than_half_a_step_of_8_bits() -> None:
    fourier = CONSTRAINTS.parse("fourier")
    images = torch.tensor([0.0, 1.0, -3.0, 4.0]).double().reshape(1, 1, 2, 2)
    back = fourier.inputs(fourier.unknowns(images, (2, 3)), (2, 3))
    assert float((back - images.clamp(0, 1)).abs().max()) < 0.5 / 255
    assert torch.equal((back * 255).round(), images.clamp(0, 1) * 255)


def test_fourier_is_its_formula_in_numpy() -> None:
    z = torch.randn(2, 1, 4, 6, 2, generator=torch.Generator().manual_seed(1)).double()
    rows, columns = np.fft.fftfreq(4)[:, None], np.fft.fftfreq(6)[None]
    weights = np.maximum(np.hypot(rows, columns), 1 / 6) ** -1.5
    weights /= np.sqrt(np.mean(weights**2))
    coefficients = (z[..., 0] + 1j * z[..., 1]).numpy() * weights
    expected = 1 / (1 + np.exp(-np.fft.ifft2(coefficients, norm="ortho").real))
    found = CONSTRAINTS.parse("fourier:decay=1.5").inputs(z, (2, 3))
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("rule", [AdamPolyak(), Paper()], ids=["adam-polyak", "paper"])
def test_a_descent_over_fourier_coefficients_lowers_the_error(rule: Rule) -> None:
    net = network()
    work = items(net, 5)
    fourier = CONSTRAINTS.parse("fourier")
    start = run(net, work, rule, passes=1, constraint=fourier)
    runs = [run(net, work, rule, passes=60, constraint=fourier, batch=b) for b in (2, 5)]
    assert (errors(net, work, runs[0]) < 0.7 * errors(net, work, start)).all()
    for a, b in zip(*runs, strict=True):
        torch.testing.assert_close(a.value, b.value, rtol=0, atol=1e-7)
        assert 0 <= float(a.value.min()) < float(a.value.max()) <= 1


def test_no_constraint_is_called_free_too_and_leaves_the_bounds() -> None:
    net, free = network(), constraint("free")
    assert free == constraint("none")
    found = run(net, items(net, 3), AdamPolyak(), passes=30, constraint=free)
    assert max(float(r.value.max()) for r in found) > 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("l2", "constraint 'l2' needs its option 'radius': l2:radius=…"),
        ("linf:radius=0", "must be above 0 and finite, not 0.0"),
        ("l2:radius=inf", "must be above 0 and finite, not inf"),
        ("l2:radius=1,around=grey", "around 'grey' is unknown"),
        ("fourier:decay=-1", "must be at least 0 and below 4, not -1.0"),
        ("ball", "constraint 'ball' is unknown"),
    ],
)
def test_what_is_no_constraint_is_one_line(text: str, words: str) -> None:
    with pytest.raises(RequestError) as caught:
        constraint(text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
