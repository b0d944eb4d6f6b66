"""The loop and its rules: the paper's algorithm, the fast default, and independence of how the work is cut."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from stir_hf.engine import (
    AdamPolyak,
    Inverted,
    Item,
    Paper,
    Rule,
    descend,
    relative_error,
    start_image,
)
from tests import reference

SHAPE = (2, 6, 6)


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Conv2d(2, 8, 3),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32, 12),
    )
    return net.double().requires_grad_(False)


def items(net: nn.Module, count: int) -> list[Item]:
    images = torch.rand(
        count, *SHAPE, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    targets = net(images)
    return [
        Item((i, 0), start_image("noise", SHAPE, seed=0, index=i, draw=0).double(), target)
        for i, target in enumerate(targets)
    ]


def run(
    net: nn.Module,
    work: list[Item],
    rule: Rule,
    *,
    passes: int,
    tolerance: float = 1e-9,
    batch: int = 4,
) -> list[Inverted]:
    found = descend(net, iter(work), rule, passes=passes, tolerance=tolerance, batch_size=batch)
    return sorted(found, key=lambda r: r.key)


def errors(net: nn.Module, work: list[Item], found: list[Inverted]) -> Tensor:
    return relative_error(
        net(torch.stack([r.image for r in found])), torch.stack([w.target for w in work])
    )


def trace(net: nn.Module, item: Item, passes: int) -> Tensor:
    """All iterates of one image that never stops."""
    iterates = []

    def represent(x: Tensor) -> Tensor:
        iterates.append(x.detach())
        return net(x)  # type: ignore[no-any-return]

    list(
        descend(represent, iter([item]), AdamPolyak(), passes=passes, tolerance=1e-12, batch_size=1)
    )
    return torch.cat(iterates)


def original(net: nn.Module, x: Tensor, target: Tensor, passes: int) -> tuple[Tensor, Tensor]:
    """The loop of the original's `Attacker.get_adv_examples` with `UnconstrainedStep`, as its text has it."""
    best_loss, best_x = None, None
    for k in range(passes + 1):
        x = x.clone().detach().requires_grad_(True)
        losses = torch.norm(net(x) - target, p=2, dim=1) / torch.norm(target, p=2, dim=1)
        (gradient,) = torch.autograd.grad(-losses.mean(), x)
        with torch.no_grad():
            if best_loss is None or best_x is None:
                best_loss, best_x = losses.clone(), x.clone()
            else:
                better = losses < best_loss
                best_x[better], best_loss[better] = x[better], losses[better]
            if k < passes:
                norm = gradient.reshape(len(x), -1).norm(dim=1).reshape(-1, 1, 1, 1)
                x = torch.clamp(x + 0.5 * gradient / (norm + 1e-10), 0, 1)
    assert best_x is not None
    assert best_loss is not None
    return best_x, best_loss


@pytest.mark.parametrize("passes", [1, 2, 10])
def test_paper_is_the_original_loop(passes: int) -> None:
    net = network()
    work = items(net, 5)
    expected, losses = original(
        net, torch.stack([w.start for w in work]), torch.stack([w.target for w in work]), passes
    )
    found = run(net, work, Paper(), passes=passes, batch=5)
    torch.testing.assert_close(
        torch.stack([r.image for r in found]), expected.clamp(0, 1), rtol=0, atol=1e-6
    )
    torch.testing.assert_close(errors(net, work, found), losses, rtol=0, atol=1e-5)


def test_paper_never_stops_early() -> None:
    net = network()
    work = items(net, 3)
    assert [r.passes for r in run(net, work, Paper(), passes=37, tolerance=10.0)] == [37] * 3


@pytest.mark.parametrize("rule", [AdamPolyak(), Paper()], ids=["adam-polyak", "paper"])
def test_nothing_depends_on_the_batch(rule: Rule) -> None:
    net = network()
    work = items(net, 11)
    runs = [run(net, work, rule, passes=40, tolerance=0.05, batch=b) for b in (1, 3, 11)]
    for other in runs[1:]:
        assert [r.key for r in other] == [w.key for w in work]
        for a, b in zip(runs[0], other, strict=True):
            torch.testing.assert_close(a.image, b.image, rtol=0, atol=1e-9)


def test_each_image_keeps_its_first_iterate_that_is_good_enough() -> None:
    net = network()
    work = items(net, 6)
    found = run(net, work, AdamPolyak(), passes=400, tolerance=0.02)
    reached = errors(net, work, found)
    assert (reached <= 0.018 + 1e-12).all()
    assert len({r.passes for r in found}) > 1
    for item, result in zip(work, found, strict=True):
        iterates = trace(net, item, result.passes)
        good = relative_error(net(iterates), item.target[None]) <= 0.018
        torch.testing.assert_close(
            result.image, iterates[int(good.nonzero()[0, 0])], rtol=0, atol=1e-9
        )


def test_best_is_never_worse_than_the_start_and_lies_in_the_pixel_range() -> None:
    net = network()
    work = items(net, 4)
    start = relative_error(
        net(torch.stack([w.start for w in work]).clamp(0, 1)), torch.stack([w.target for w in work])
    )
    found = run(net, work, AdamPolyak(), passes=7)
    assert (errors(net, work, found) <= start).all()
    assert all(float(r.image.min()) >= 0 and float(r.image.max()) <= 1 for r in found)


def test_the_budget_of_passes_is_kept() -> None:
    net, calls = network(), 0

    def counted(x: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return net(x)  # type: ignore[no-any-return]

    work = items(net, 4)
    found = list(
        descend(counted, iter(work), AdamPolyak(), passes=13, tolerance=1e-9, batch_size=4)
    )
    assert [r.passes for r in found] == [13] * 4
    assert calls == 14  # the last iterate is looked at, too


def test_the_budget_is_kept_when_others_join_later() -> None:
    net, rows = network(), 0

    def counted(x: Tensor) -> Tensor:
        nonlocal rows
        rows += len(x) if x.requires_grad else 0
        return net(x)  # type: ignore[no-any-return]

    found = list(
        descend(counted, iter(items(net, 9)), AdamPolyak(), passes=37, tolerance=0.1, batch_size=4)
    )
    assert len({r.passes for r in found}) > 1
    assert max(r.passes for r in found) <= 37
    assert sum(r.passes for r in found) == rows


def test_values_that_are_not_finite_are_an_error() -> None:
    net = network()
    with pytest.raises(FloatingPointError, match="not finite"):
        run(nn.Sequential(net, Poison()), items(net, 2), AdamPolyak(), passes=3)


class Poison(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.nan


@dataclass(frozen=True)
class Landweber:
    """Plain gradient steps on the squared error: from x₀ they end at the nearest solution to x₀."""

    target_norm: float
    rate: float
    stops: bool = True

    def begin(self, start: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        return start, {}

    def step(self, x: Tensor, error: Tensor, gradient: Tensor, state: dict[str, Tensor]) -> Tensor:
        return x - self.rate * self.target_norm**2 * error[:, None, None, None] * gradient


def linear_problem() -> tuple[nn.Module, Tensor, Item]:
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(9, 72, generator=generator, dtype=torch.float64)
    net = nn.Sequential(nn.Flatten(), linear := nn.Linear(72, 9, bias=False).double())
    linear.weight = nn.Parameter(matrix, requires_grad=False)
    image, start = (
        0.5 + 0.05 * torch.randn(2, 72, generator=generator, dtype=torch.float64)
    ).reshape(2, *SHAPE)
    return net, matrix, Item((0, 0), start, net(image[None])[0])


def test_a_linear_model_meets_the_closed_form() -> None:
    net, matrix, item = linear_problem()
    start = item.start.flatten()
    nearest = torch.from_numpy(
        reference.linear_inversion(matrix.numpy(), start.numpy(), item.target.numpy())
    )
    assert 0 < float(nearest.min()) < float(nearest.max()) < 1
    rule = Landweber(float(item.target.norm()), 1 / float(torch.linalg.matrix_norm(matrix, 2)) ** 2)
    (found,) = run(net, [item], rule, passes=2000, tolerance=1e-12)
    torch.testing.assert_close(found.image.flatten(), nearest, rtol=0, atol=1e-6)
    (fast,) = run(net, [item], AdamPolyak(), passes=200, tolerance=1e-3)
    assert float(errors(net, [item], [fast])) <= 1e-3
    assert fast.passes < 100


def test_starts_are_drawn_from_seed_index_and_draw_alone() -> None:
    def start(kind: str, **changed: int) -> Tensor:
        return start_image(kind, SHAPE, **{"seed": 0, "index": 3, "draw": 0, **changed})

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


def test_refilling_gives_each_item_once() -> None:
    net = network()
    work = items(net, 9)

    def lazily() -> Iterator[Item]:
        yield from work

    found = list(descend(net, lazily(), AdamPolyak(), passes=60, tolerance=0.1, batch_size=2))
    assert sorted(r.key for r in found) == [w.key for w in work]
