"""The 1/f metric: its filter against NumPy, and what it does to an inversion."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stir_hf.engine import AdamPolyak, Box, Domain, Item, Rule, Smooth
from stir_hf.engine.rules.smooth_linear import SmoothLinear
from stir_hf.engine.spectrum import one_over_f
from tests.engine.problems import SHAPE, by_row, errors, items, network, run, same


def reference(x: np.ndarray, power: float) -> np.ndarray:
    """The filter by the whole discrete Fourier transform."""
    size = x.shape[1:][-2:]
    axes = tuple(range(x.ndim - len(size), x.ndim))
    squares = sum(
        np.fft.fftfreq(n).reshape([-1 if i == axis else 1 for i in range(len(size))]) ** 2
        for axis, n in enumerate(size)
    )
    gain = np.maximum(np.sqrt(squares), 1 / max(size)) ** -power
    gain = gain / np.sqrt((gain**2).mean())
    found: np.ndarray = np.fft.ifftn(np.fft.fftn(x, axes=axes) * gain, axes=axes).real
    return found


@pytest.mark.parametrize("shape", [(2, 3, 8, 8), (2, 1, 7, 12), (3, 9), (3, 10), (2, 2, 3, 5, 4)])
@pytest.mark.parametrize("power", [0.5, 1.0])
def test_the_filter_is_that_of_numpy(shape: tuple[int, ...], power: float) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    kept = x.clone()
    axes = tuple(range(max(1, x.ndim - 2), x.ndim))
    found = one_over_f(x, power, axes)
    np.testing.assert_allclose(found.numpy(), reference(x.numpy(), power), atol=1e-9)
    assert torch.equal(x, kept)


def test_the_filter_is_symmetric_and_keeps_noise_at_its_size() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(1, 1, 64, 64, generator=generator, dtype=torch.float64) for _ in range(2))
    assert float((one_over_f(a, 0.5, (2, 3)) * b).sum()) == pytest.approx(
        float((a * one_over_f(b, 0.5, (2, 3))).sum()), rel=1e-9
    )
    assert float(one_over_f(a, 0.5, (2, 3)).std()) == pytest.approx(float(a.std()), rel=0.1)
    assert torch.equal(one_over_f(a, 0, (2, 3)), a)


def test_without_a_filter_it_differs_from_the_default_only_in_what_is_at_a_bound() -> None:
    net = by_row(network())
    work = items(network(), 3)
    for item in work:
        item.start.clamp_(0.4, 0.6)
    one = run(net, work, Smooth(power=0, length=0.05), passes=3)
    other = run(net, work, AdamPolyak(length=0.05), passes=3)
    assert all(torch.allclose(a.value, b.value) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_batches_change_nothing(batch: int) -> None:
    net, work = network(), items(network(), 5)
    expected = run(by_row(net), work, Smooth(), passes=40, tolerance=0.1, batch=3)
    assert same(run(by_row(net), work, Smooth(), passes=40, tolerance=0.1, batch=batch), expected)


def roughness(x: Tensor) -> float:
    """Energy of the differences between neighbours, relative to that of the values."""
    step = (x.diff(dim=-1).square().mean() + x.diff(dim=-2).square().mean()) / 2
    return float(step / x.var())


def test_what_is_added_to_the_start_is_smoother_than_by_the_default() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 8, 5), nn.Tanh(), nn.Flatten(), nn.Linear(8 * 144, 16))
    net = net.double().requires_grad_(False)
    images = torch.rand(4, 1, 16, 16, dtype=torch.float64)
    grey = torch.full_like(images[0], 0.5)
    work = [Item((i, 0), grey.clone(), target) for i, target in enumerate(net(images))]
    found = {}
    for name, rule in (("smooth", Smooth()), ("default", AdamPolyak())):
        done = run(net, work, rule, passes=200, tolerance=0.02)
        assert errors(net, work, done).max() <= 0.02
        moved = [r.value - w.start for r, w in zip(done, work, strict=True)]
        found[name] = np.mean([roughness(m) for m in moved])
    assert found["smooth"] < 0.8 * found["default"]


def test_the_length_of_smooth_linear_falls_to_0_over_the_passes_of_a_row() -> None:
    domain, x = Domain(Box(), (1, 2)), torch.full((1, *SHAPE), 0.5).double()
    gradient = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(0)).double()
    error = torch.tensor([0.3]).double()

    def first_step(rule: Rule, age: int) -> Tensor:
        state = rule.begin(x, 10)
        state["age"] += age
        return rule.step(x, error, gradient, state, domain, None) - x

    whole = first_step(Smooth(momentum=0.0, length=0.02, half=0.0), 0)
    for age in range(11):
        step = first_step(SmoothLinear(momentum=0.0, length=0.02), age)
        torch.testing.assert_close(step, whole * (1 - age / 10))


@pytest.mark.parametrize("batch", [1, 3])
def test_smooth_linear_does_not_depend_on_the_batch(batch: int) -> None:
    net = network()
    work = items(net, 5)
    one, other = (
        run(by_row(net), work, SmoothLinear(), passes=30, tolerance=0.1, batch=b)
        for b in (batch, 5)
    )
    assert same(one, other)
