"""The rule of model metamers, against the loop of the authors' code."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stir_hf import RequestError
from stir_hf.engine import STARTS, Accepting, InversionConfig, Item, Metamer, Paper, start_value
from tests.engine.problems import SHAPE, errors, items, network, run

BALL = 100_000


def published(
    net: nn.Module, x: Tensor, target: Tensor, *, runs: int, iterations: int, size: float = 1.0
) -> list[Tensor]:
    """The iterates of the published script: runs of its attacker, each from the last image of the
    run before and with half its step, around which `L2Step` puts its ball.
    """
    x, step_size, seen = torch.clamp(x, 0, 1), size, []
    for k in range(runs):
        step_size = step_size / 2 if k else step_size
        first = x.clone()
        for _ in range(iterations):
            x = x.clone().detach().requires_grad_(True)
            losses = torch.norm(net(x) - target, dim=1) / torch.norm(target, dim=1)
            (gradient,) = torch.autograd.grad(-losses.mean(), x)
            with torch.no_grad():
                seen.append(x.detach().clone())
                norm = torch.norm(gradient.reshape(len(x), -1), dim=1).reshape(-1, 1, 1, 1)
                x = x + gradient / (norm + 1e-10) * step_size
                x = torch.clamp(first + (x - first).renorm(p=2, dim=0, maxnorm=BALL), 0, 1)
    return [*seen, x.detach()]


def test_ten_steps_are_those_of_the_published_script() -> None:
    net, seen = network(), list[Tensor]()

    def represent(x: Tensor) -> Tensor:
        seen.append(x.detach().clone())
        return net(x)  # type: ignore[no-any-return]

    (item,) = items(net, 1)  # the script has one image at a time: its loss is a mean over images
    start = start_value(STARTS.parse("grey:scale=0.05"), SHAPE, seed=0, index=0, draw=0).double()
    expected = published(net, start[None], item.target[None], runs=5, iterations=2)
    work = [Item(item.key, start, item.target)]
    found = run(represent, work, Metamer(steps_per_run=2), passes=10)
    assert len(seen) >= len(expected) == 11
    for mine, theirs in zip([*seen[:10], found[0].value[None]], expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-12)


class Best(Metamer):
    """The same steps, of which the best is kept."""

    @property
    def keeps_last(self) -> bool:
        return False


def test_the_last_image_is_kept_although_an_earlier_one_is_better() -> None:
    net = network()
    work = items(net, 4)
    found, best = (run(net, work, make(step_size=4.0), passes=9) for make in (Metamer, Best))
    last, least = errors(net, work, found), errors(net, work, best)
    assert (last >= least).all()
    assert (last > least).any()
    start = torch.stack([item.start for item in work]).clamp(0, 1)
    target = work[0].target[None]
    *_, expected = published(net, start[:1], target, runs=1, iterations=9, size=4.0)
    torch.testing.assert_close(found[0].value[None], expected, rtol=0, atol=1e-12)


def lengths(rule: Metamer, passes: int) -> list[float]:
    """The length of each step, along a gradient of length 3."""
    x = torch.zeros(1, 1, 2)
    gradient, found = torch.tensor([[[0.0, 3.0]]]), []
    state = rule.begin(x, passes)
    for _ in range(passes):
        moved = rule.step(x, torch.ones(1), gradient, state, None, None)  # type: ignore[arg-type]
        found.append(-float(moved[0, 0, 1]))
    return found


def test_the_length_is_halved_after_each_run_of_three_thousand() -> None:
    found = lengths(Metamer(), 24_000)
    assert [found[k] for k in (0, 2999, 3000, 5999, 6000, 23_999)] == [
        pytest.approx(one, rel=1e-6) for one in (1, 1, 1 / 2, 1 / 2, 1 / 4, 1 / 128)
    ]
    assert np.unique(np.round(found, 6)).size == 8


def test_a_row_that_enters_later_begins_its_own_first_run() -> None:
    rule, x = Metamer(steps_per_run=2), torch.zeros(2, 1, 2)
    state = rule.begin(x, 9)
    gradient = torch.ones(2, 1, 2)
    for _ in range(3):
        moved = rule.step(x, torch.ones(2), gradient, state, None, None)  # type: ignore[arg-type]
        for name, value in rule.begin(x[:1], 9).items():
            state[name][1] = value[0]  # as slots are refilled
    norms = moved.flatten(1).norm(dim=1)
    torch.testing.assert_close(norms, torch.tensor([0.5, 1.0]))


def test_a_gradient_of_zero_moves_nothing() -> None:
    rule, x = Metamer(), torch.full((1, 2), 0.3)
    moved = rule.step(x, torch.ones(1), torch.zeros(1, 2), rule.begin(x, 1), None, None)  # type: ignore[arg-type]
    assert torch.equal(moved, x)


def test_it_never_stops_early() -> None:
    net = network()
    work = items(net, 3)
    assert [r.passes for r in run(net, work, Metamer(), passes=7, tolerance=10.0)] == [7] * 3


def test_its_defaults_are_the_published_ones() -> None:
    config = InversionConfig(method="metamer")  # type: ignore[arg-type]
    assert config.steps == 8 * 3000
    drawn = start_value(config.start, (10_000,), seed=0, index=0, draw=0)
    assert float(drawn.mean()) == pytest.approx(0.5, abs=2e-3)
    assert float(drawn.std()) == pytest.approx(1 / 20, rel=0.02)
    assert isinstance(config.method, Accepting)
    assert not isinstance(Paper(), Accepting)


@pytest.mark.parametrize(
    "method",
    ["metamer:step_size=0", "metamer:steps_per_run=0", "metamer:pairs=0", "metamer:pairs=1000001"],
)
def test_options_that_make_no_sense_are_refused(method: str) -> None:
    with pytest.raises(RequestError, match="of method 'metamer' must be"):
        InversionConfig(method=method)  # type: ignore[arg-type]


@pytest.mark.parametrize("scale", ["0", "-1", "nan", "inf"])
def test_a_grey_start_needs_a_spread(scale: str) -> None:
    with pytest.raises(RequestError, match="'scale' of start 'grey' must be above 0 and finite"):
        STARTS.parse(f"grey:scale={scale}")


def test_the_spelling_of_the_old_grey_start_is_unchanged() -> None:
    assert STARTS.spelling(STARTS.parse("grey")) == {"name": "grey", "version": 1}
    assert STARTS.build({"name": "grey", "version": 1}) == STARTS.parse("grey:scale=0.1")
