"""The loop: the budget, the first iterate that is good enough, and independence of how the work is
cut.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from stir_hf.engine import (
    AdamPolyak,
    Domain,
    Item,
    Objective,
    Paper,
    Rule,
    Smooth,
    Watch,
    ledger,
    loop,
    relative_error,
)
from stir_hf.engine.objectives import Seen
from tests import reference
from tests.engine.problems import SHAPE, by_row, errors, items, network, run, same

RULES = pytest.mark.parametrize(
    "rule", [AdamPolyak(), Smooth(), Paper()], ids=["adam-polyak", "smooth", "paper"]
)


def trace(net: nn.Module, item: Item, passes: int) -> Tensor:
    """All iterates of one image that never stops."""
    iterates = []

    def represent(x: Tensor) -> Tensor:
        iterates.append(x.detach())
        return net(x)  # type: ignore[no-any-return]

    run(represent, [item], AdamPolyak(), passes=passes, tolerance=1e-12, batch=1)
    return torch.cat(iterates)


@RULES
def test_nothing_depends_on_the_batch(rule: Rule) -> None:
    net = network()
    work = items(net, 11)
    runs = [run(net, work, rule, passes=38, tolerance=0.05, batch=b) for b in (1, 3, 11)]
    for other in runs[1:]:
        assert [r.key for r in other] == [w.key for w in work]
        for a, b in zip(runs[0], other, strict=True):
            assert a.passes == b.passes
            torch.testing.assert_close(a.value, b.value, rtol=0, atol=1e-9)


@RULES
def test_not_one_bit_depends_on_the_batch_or_the_order(rule: Rule) -> None:
    net = network()
    work = items(net, 9)
    first = run(by_row(net), work, rule, passes=23, tolerance=0.1, batch=1)
    for batch in (2, 4, 9):
        assert same(first, run(by_row(net), work, rule, passes=23, tolerance=0.1, batch=batch))
        backwards = run(by_row(net), work[::-1], rule, passes=23, tolerance=0.1, batch=batch)
        assert same(first, backwards)


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
        first = int(good.nonzero()[0, 0])
        assert result.passes == first + 1
        torch.testing.assert_close(result.value, iterates[first], rtol=0, atol=1e-9)


def test_best_is_never_worse_than_the_start_and_lies_in_the_pixel_range() -> None:
    net = network()
    work = items(net, 4)
    start = relative_error(
        net(torch.stack([w.start for w in work]).clamp(0, 1)), torch.stack([w.target for w in work])
    )
    found = run(net, work, AdamPolyak(), passes=7)
    assert (errors(net, work, found) <= start).all()
    assert all(float(r.value.min()) >= 0 and float(r.value.max()) <= 1 for r in found)


def test_the_budget_of_passes_is_kept() -> None:
    net, calls = network(), 0

    def counted(x: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return net(x)  # type: ignore[no-any-return]

    found = run(counted, items(net, 4), AdamPolyak(), passes=13)
    assert [r.passes for r in found] == [13] * 4
    assert calls == 14  # the last iterate is looked at, too


def test_the_budget_is_kept_when_others_join_later() -> None:
    net, rows = network(), 0

    def counted(x: Tensor) -> Tensor:
        nonlocal rows
        rows += len(x) if x.requires_grad else 0
        return net(x)  # type: ignore[no-any-return]

    work = items(net, 9)
    found = run(counted, work, AdamPolyak(), passes=37, tolerance=0.1)
    assert len({r.passes for r in found}) > 1
    assert max(r.passes for r in found) <= 37
    needed = sum(r.passes for r in found)
    assert needed <= rows <= needed + 4 * len(work)  # a look every 5 passes


def test_slots_are_fixed_until_no_item_waits() -> None:
    net, left, sizes = network(), 9, []

    def lazily() -> Iterator[Item]:
        nonlocal left
        for item in items(net, 9):
            left -= 1
            yield item

    def represent(x: Tensor) -> Tensor:
        sizes.append((len(x), left))
        return net(x)  # type: ignore[no-any-return]

    found = run(represent, lazily(), AdamPolyak(), passes=60, tolerance=0.1)
    assert [r.key for r in found] == [(i, 0) for i in range(9)]
    assert all(size == 4 for size, waiting in sizes if waiting)
    counts = [size for size, _ in sizes]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] < 4


@pytest.mark.parametrize("batch", [1, 2, 5, 20])
def test_refilling_gives_each_item_once(batch: int) -> None:
    net = network()
    work = items(net, 9)
    found = run(net, iter(work), AdamPolyak(), passes=60, tolerance=0.1, batch=batch)
    assert [r.key for r in found] == [w.key for w in work]
    assert run(net, iter([]), AdamPolyak(), passes=60, batch=batch) == []


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode], ids=lambda c: c.__name__)
def test_gradients_are_switched_on_inside(
    context: Callable[[], AbstractContextManager[Any]],
) -> None:
    net = network()
    expected = run(net, items(net, 5), AdamPolyak(), passes=30, tolerance=0.1, batch=2)
    with context():
        work = items(net, 5)  # inference tensors, under inference_mode
        found = run(net, iter(work), AdamPolyak(), passes=30, tolerance=0.1, batch=2)
        assert not torch.is_grad_enabled()
    assert torch.is_grad_enabled()
    assert same(found, expected)


def test_what_is_minimised_is_apart_from_the_error() -> None:
    net = network()
    work = items(net, 5)

    @dataclass(frozen=True)
    class Squared(Objective):
        least_known: ClassVar[bool] = True

        def distance(self, seen: Seen) -> Tensor:
            return (seen.representations[0] - seen.targets[0]).square().sum(1)

    found = run(net, work, AdamPolyak(), passes=400, tolerance=0.05, objective=Squared())
    assert (errors(net, work, found) <= 0.045).all()
    plain = run(net, work, AdamPolyak(), passes=400, tolerance=0.05)
    assert not same(found, plain)


def test_the_error_is_computed_once_where_it_is_what_is_minimised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = 0

    def counted(representation: Tensor, target: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return relative_error(representation, target)

    monkeypatch.setattr(loop, "relative_error", counted)
    net = network()
    run(net, items(net, 4), AdamPolyak(), passes=10)
    assert calls == 11


def test_the_watch_sees_how_many_and_how_far() -> None:
    net, seen = network(), list[Watch]()
    run(net, items(net, 6), AdamPolyak(), passes=50, tolerance=0.1, watch=seen.append)
    assert [w.active for w in seen] == sorted((w.active for w in seen), reverse=True)
    assert all(0 < w.error < 2 for w in seen)


@RULES
def test_an_accelerator_would_come_to_the_same(rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    net = network()
    work = [
        *items(net, 7),
        Item((7, 0), torch.full(SHAPE, torch.nan).double(), torch.ones(12).double()),
    ]
    expected = run(by_row(net), work, rule, passes=33, tolerance=0.1, batch=3)
    monkeypatch.setattr(ledger, "HOST", "nothing")
    assert same(expected, run(by_row(net), work, rule, passes=33, tolerance=0.1, batch=3))


class Called(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """The names of the operations that ran."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: set[str] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.names.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def test_no_pass_of_an_accelerator_waits_for_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "HOST", "nothing")
    net = network()
    with Called() as called:
        run(net, items(net, 3), AdamPolyak(), passes=20)
    assert "convolution" in called.names
    waiting = {"_local_scalar_dense", "nonzero", "equal", "is_nonzero", "item", "masked_select"}
    assert not called.names & waiting


@dataclass(frozen=True)
class Landweber(Rule):
    """Plain gradient steps on the squared error: from x₀ they end at the nearest solution to x₀."""

    target_norm: float
    rate: float
    stops: ClassVar[bool] = True
    projects_start: ClassVar[bool] = False
    default_steps: ClassVar[int] = 100
    default_start: ClassVar[str] = "noise"

    def begin(self, x: Tensor, passes: int) -> dict[str, Tensor]:
        return {}

    def step(
        self,
        x: Tensor,
        error: Tensor,
        gradient: Tensor,
        state: dict[str, Tensor],
        domain: Domain,
        centre: Tensor | None,
    ) -> Tensor:
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
    torch.testing.assert_close(found.value.flatten(), nearest, rtol=0, atol=1e-6)
    (fast,) = run(net, [item], AdamPolyak(), passes=200, tolerance=1e-3)
    assert float(errors(net, [item], [fast])) <= 1e-3
    assert fast.passes < 100
