"""Restarts: further starts, of which the best iterate is kept."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from stir_hf import RequestError
from stir_hf.engine import (
    OBJECTIVES,
    AdamPolyak,
    InversionConfig,
    Inverted,
    Item,
    Metamer,
    Paper,
    Restarts,
    Rule,
    start_value,
)
from tests.engine.problems import NOISE, SHAPE, by_row, errors, items, network, run, same
from tests.engine.test_constraints import constraint


def again(work: list[Item]) -> list[Item]:
    """The items with further starts."""

    def start(index: int, number: int) -> Tensor:
        value = start_value(NOISE, SHAPE, seed=0, index=index, draw=0, again=number)
        return value.double()

    return [replace(w, again=partial(start, w.key[0])) for w in work]


@pytest.mark.parametrize(
    "rule",
    [AdamPolyak(), Paper(), Paper(keep="last"), Metamer(steps_per_run=2)],
    ids=["adam-polyak", "paper", "paper-last", "metamer"],
)
def test_restarts_never_worsen_and_the_winner_is_told(rule: Rule) -> None:
    net = network()
    work = again(items(net, 7))
    once = run(by_row(net), work, rule, passes=15)
    best = run(by_row(net), work, rule, passes=15, restarts=Restarts(4))
    assert (errors(net, work, best) <= errors(net, work, once)).all()
    assert any(r.start for r in best)
    for item, result in zip(work, best, strict=True):
        assert result.tried == 4
        assert result.passes == 60
        start = item.start
        if result.start:
            assert item.again is not None
            start = item.again(result.start)
        (alone,) = run(by_row(net), [replace(item, start=start)], rule, passes=15)
        assert torch.equal(alone.value, result.value)
        assert result.error == pytest.approx(float(errors(net, [item], [result])[0]))


def test_restarts_do_not_depend_on_the_batch() -> None:
    net = network()
    work = again(items(net, 7))
    first, *others = (
        run(by_row(net), work, AdamPolyak(), passes=13, batch=b, restarts=Restarts(3))
        for b in (1, 3, 7)
    )
    assert all(same(first, other) for other in others)


def test_a_row_that_is_good_enough_does_not_restart() -> None:
    net = network()
    work = again(items(net, 5))
    once = run(by_row(net), work, AdamPolyak(), passes=400, tolerance=0.1)
    more = run(by_row(net), work, AdamPolyak(), passes=400, tolerance=0.1, restarts=Restarts(3))
    assert same(once, more)
    assert all(r.tried == 1 for r in more)


def test_a_ball_around_the_start_moves_with_the_start_that_won() -> None:
    net, ball = network(), constraint("l2:radius=0.5")
    work = again(items(net, 6))
    found = run(by_row(net), work, AdamPolyak(), passes=12, constraint=ball, restarts=Restarts(3))
    assert len({r.start for r in found}) > 1
    for item, result in zip(work, found, strict=True):
        assert item.again is not None
        start = item.again(result.start) if result.start else item.start
        assert float((result.value - start.clamp(0, 1)).norm()) <= 0.5 + 1e-9


def dead(x: Tensor) -> Tensor:
    """Units that are all off where the mean of the input is low, and then have no gradient."""
    rows = x.flatten(1)
    weights = torch.linspace(0.5, 1.5, rows.shape[1], dtype=x.dtype)
    gate = torch.relu(rows.mean(1, keepdim=True) - 0.4)
    return torch.cat((gate * rows[:, :9] * weights[:9], rows.mean(1, keepdim=True) * 0 + 0.1), 1)


def test_a_row_that_stalls_restarts_once_by_itself_and_is_counted() -> None:
    bright = 0.9 * torch.ones(1, *SHAPE).double()
    target = dead(bright)[0]
    low, high = torch.full(SHAPE, 0.1).double(), torch.full(SHAPE, 0.8).double()
    work = [
        Item((0, 0), low, target, again=lambda _: high),
        Item((1, 0), high, target, again=lambda _: low),
        Item((2, 0), low, target, again=lambda _: low),
    ]
    stalled = Restarts.parse("stalled")
    found = run(dead, work, AdamPolyak(), passes=200, tolerance=0.01, restarts=stalled)
    assert [(r.start, r.tried) for r in found] == [(1, 2), (0, 1), (0, 2)]
    assert [r.error < 0.01 for r in found] == [True, True, False]
    without = run(dead, work, AdamPolyak(), passes=200, tolerance=0.01)
    assert without[0].error > 0.5
    assert same(without[1:2], found[1:2])


@pytest.mark.parametrize("passes", [200, 202, 113])
def test_a_stall_is_found_whatever_the_batch(passes: int) -> None:
    target = dead(0.9 * torch.ones(1, *SHAPE).double())[0]
    low, high = torch.full(SHAPE, 0.1).double(), torch.full(SHAPE, 0.8).double()
    beyond = target.clone()
    beyond[0] *= 1.5  # cannot be reached: it takes all its passes
    generator = torch.Generator().manual_seed(0)
    bright = (torch.rand(SHAPE, generator=generator).double() * 0.3 + 0.6 for _ in range(2))
    work = [Item((0, 0), high, beyond), *(Item((i, 0), s, target) for i, s in enumerate(bright, 1))]
    work.append(Item((3, 0), low, target, again=lambda _: high))
    stalled = Restarts.parse("stalled")
    alone, *others = (
        run(dead, work, AdamPolyak(), passes=passes, tolerance=1e-3, batch=b, restarts=stalled)
        for b in (1, 2, 3, 4)
    )
    assert [r.tried for r in alone] == [1, 1, 1, 2]
    assert all(same(alone, other) for other in others)


def test_a_start_that_is_not_finite_leaves_the_other_one() -> None:
    net, broken = network(), torch.full(SHAPE, torch.nan).double()
    work = items(net, 3)
    once = run(by_row(net), work, AdamPolyak(), passes=12)

    def made(first: Tensor | None, second: Tensor | None) -> list[Inverted]:
        def of(item: Item, value: Tensor | None) -> Tensor:
            return item.start if value is None else value

        tried = [
            replace(w, start=of(w, first), again=lambda _, w=w: of(w, second))  # type: ignore[misc]
            for w in work
        ]
        return run(by_row(net), tried, AdamPolyak(), passes=12, restarts=Restarts(2))

    for start, found in enumerate((made(None, broken), made(broken, None))):
        for first, second in zip(once, found, strict=True):
            assert torch.equal(first.value, second.value)
            assert (second.finite, second.start, second.tried) == (True, start, 2)
    assert not any(r.finite for r in made(broken, broken))


@pytest.mark.parametrize("objective", ["cosine", "relative_error:p=inf"])
def test_the_winner_is_told_where_a_sufficient_error_ends_a_row(objective: str) -> None:
    net = network()
    work = again(items(net, 24))
    how: dict[str, Any] = {"tolerance": 0.05, "objective": OBJECTIVES.parse(objective)}
    how["passes"] = 20
    found = run(by_row(net), work, AdamPolyak(), restarts=Restarts(3), **how)
    assert len({r.start for r in found}) > 1
    for item, result in zip(work, found, strict=True):
        assert item.again is not None
        start = item.again(result.start) if result.start else item.start
        (alone,) = run(by_row(net), [replace(item, start=start)], AdamPolyak(), **how)
        assert torch.equal(alone.value, result.value)


def test_rows_without_a_further_start_do_not_restart() -> None:
    net = network()
    work = items(net, 3)
    found = run(by_row(net), work, AdamPolyak(), passes=10, restarts=Restarts(3))
    assert same(found, run(by_row(net), work, AdamPolyak(), passes=10))


def test_the_default_is_that_of_the_method_and_of_starts_that_vary() -> None:
    assert InversionConfig().restarts == "stalled"
    assert InversionConfig(method="paper").restarts == 1  # type: ignore[arg-type]
    assert InversionConfig(start="white").restarts == 1  # type: ignore[arg-type]
    assert InversionConfig(restarts="3").restarts == 3


@pytest.mark.parametrize("given", [0, -1, 1.5, "some", True])
def test_what_is_no_number_of_starts_is_one_line(given: object) -> None:
    with pytest.raises(RequestError, match="restarts must be a number of starts from 1 on, or"):
        InversionConfig(restarts=given)  # type: ignore[arg-type]


@pytest.mark.parametrize("start", ["white", "black", "mixture", "given"])
def test_restarts_from_starts_that_do_not_vary_are_refused(start: str) -> None:
    with pytest.raises(RequestError, match=f"restarts=2 with start='{start}' repeats the same"):
        InversionConfig(start=start, restarts=2)  # type: ignore[arg-type]
