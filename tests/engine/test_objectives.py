"""Objectives against NumPy, and what they do to a descent."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from stir_hf import RequestError
from stir_hf.engine import (
    OBJECTIVES,
    Adam,
    AdamPolyak,
    Box,
    Domain,
    InversionConfig,
    Item,
    Paper,
    relative_error,
)
from stir_hf.engine.objectives import Objective, Seen
from stir_hf.engine.objectives.terms import blurred, distance_from, from_grey, variation
from tests.engine.problems import SHAPE, errors, items, network, run, same

GENERATOR = torch.Generator().manual_seed(3)
DOMAIN = Domain(Box(), (1, 2), (0.0, 1.0))


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=GENERATOR, dtype=torch.float64)


def seen(models: int = 1) -> Seen:
    x, pairs = random(5, *SHAPE), [(random(5, 7 + i), random(5, 7 + i)) for i in range(models)]
    one, two = zip(*pairs, strict=True)
    return Seen(x, relative_error(one[0], two[0]), one, two, DOMAIN)


def of_norm(view: Seen, model: int, p: float) -> Any:
    one, two = view.representations[model].numpy(), view.targets[model].numpy()
    return np.linalg.norm(one - two, p, axis=1) / np.linalg.norm(two, p, axis=1)


@pytest.mark.parametrize(("text", "p"), [("1", 1), ("1.5", 1.5), ("2", 2), ("7", 7)])
def test_the_relative_error_in_any_norm(text: str, p: float) -> None:
    view = seen()
    found = OBJECTIVES.parse(f"relative_error:p={text}").loss(view)
    np.testing.assert_allclose(found, of_norm(view, 0, p), rtol=1e-12)


@pytest.mark.parametrize("p", [20, 60, 200])
@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_large_powers_stay_in_the_range_of_float32(p: int, scale: float) -> None:
    one, two = random(5, 9) * scale, random(5, 9) * scale
    x = one.float().requires_grad_(True)
    found = relative_error(x, two.float(), p)
    sums = [(v.numpy().astype(np.longdouble) ** p).sum(1) ** (1 / p) for v in (one - two, two)]
    np.testing.assert_allclose(found.detach(), (sums[0] / sums[1]).astype(float), rtol=1e-5)
    (gradient,) = torch.autograd.grad(found.sum(), x)
    assert gradient.isfinite().all()
    assert gradient.any(1).all()


@pytest.mark.parametrize("text", ["inf", "∞"])
def test_the_infinite_norm_is_a_maximum(text: str) -> None:
    view = seen()
    one, two = view.representations[0], view.targets[0]
    found = OBJECTIVES.parse(f"relative_error:p={text}").loss(view)
    expected = (one - two).abs().amax(1) / two.abs().amax(1)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-14)


def test_the_default_is_the_error_itself() -> None:
    view = seen()
    assert OBJECTIVES.parse("relative_error").loss(view) is view.error


def test_the_cosine_distance() -> None:
    view = seen()
    one, two = view.representations[0].numpy(), view.targets[0].numpy()
    cosine = (one * two).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(two, axis=1)
    np.testing.assert_allclose(OBJECTIVES.parse("cosine").loss(view), 1 - cosine, atol=1e-12)


@pytest.mark.parametrize("p", ["1", "2", "inf"])
def test_controversial_is_the_difference_or_the_ratio_of_two_errors(p: str) -> None:
    view = seen(2)
    own, other = (of_norm(view, i, float(p)) for i in (0, 1))
    text = f"controversial:model=a/b,p={p},beta=0.3"
    np.testing.assert_allclose(OBJECTIVES.parse(text).loss(view), own - 0.3 * other, rtol=1e-12)
    ratio = OBJECTIVES.parse(f"{text},form=ratio").loss(view)
    np.testing.assert_allclose(ratio, own / other, rtol=1e-9)


def test_an_ensemble_takes_the_mean_or_the_worst_error() -> None:
    view = seen(3)
    found = np.stack([of_norm(view, i, 2) for i in range(3)])
    mean = OBJECTIVES.parse("ensemble:models=a/b+c/d")
    worst = OBJECTIVES.parse("ensemble:models=a/b+c/d,of=worst")
    assert mean.networks == worst.networks == ("a/b", "c/d")
    np.testing.assert_allclose(mean.loss(view), found.mean(0), rtol=1e-12)
    np.testing.assert_allclose(worst.loss(view), found.max(0), rtol=1e-12)
    np.testing.assert_allclose(mean.left(view), found.max(0), rtol=1e-12)


def test_regularisers_against_numpy() -> None:
    x = random(4, *SHAPE).requires_grad_(True)
    values = x.detach().numpy()
    rows, columns = np.abs(np.diff(values, axis=2)), np.abs(np.diff(values, axis=3))
    expected = rows.reshape(4, -1).mean(1) + columns.reshape(4, -1).mean(1)
    np.testing.assert_allclose(variation(x, (2, 3)).detach(), expected, rtol=1e-12)
    grey = np.square(values - 0.5).reshape(4, -1).mean(1)
    np.testing.assert_allclose(from_grey(x, (0.0, 1.0)).detach(), grey, rtol=1e-12)
    zero = np.square(values).reshape(4, -1).mean(1)
    np.testing.assert_allclose(from_grey(x, None).detach(), zero, rtol=1e-12)
    soft = values
    for axis in (2, 3):
        width = [(0, 0)] * axis + [(1, 1)] + [(0, 0)] * (3 - axis)
        wide = np.pad(soft, width, mode="edge")
        pieces = [np.take(wide, np.arange(6) + i, axis) for i in range(3)]
        soft = pieces[0] / 4 + pieces[1] / 2 + pieces[2] / 4
    loss = blurred(x, (2, 3))
    blur = np.square(values - soft).reshape(4, -1).mean(1)
    np.testing.assert_allclose(loss.detach(), blur, rtol=1e-12)
    (gradient,) = torch.autograd.grad(loss.sum(), x)
    np.testing.assert_allclose(gradient, 2 * (values - soft) / values[0].size, rtol=1e-9)


def test_the_distance_from_earlier_draws_counts_those_that_are_there() -> None:
    x, earlier = random(2, *SHAPE), random(2, 3, *SHAPE)
    earlier[0, 1:], earlier[1] = torch.nan, torch.nan
    first = float((x[0] - earlier[0, 0]).square().mean().sqrt())
    np.testing.assert_allclose(distance_from(x, earlier), [first, 0], atol=1e-6)


def test_weights_add_up() -> None:
    view = seen()
    found = OBJECTIVES.parse("cosine:tv=2,l2=3,blur=5").loss(view)
    expected = OBJECTIVES.parse("cosine").loss(view) + 2 * variation(view.x, (2, 3))
    expected = expected + 3 * from_grey(view.x, (0.0, 1.0)) + 5 * blurred(view.x, (2, 3))
    torch.testing.assert_close(found, expected)


def objective(text: str) -> Objective:
    return OBJECTIVES.parse(text)


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("relative_error", True),
        ("relative_error:p=1", True),
        ("cosine", True),
        ("ensemble:models=a/b", True),
        ("cosine:tv=0.1", False),
        ("controversial:model=a/b", False),
    ],
)
def test_it_is_known_whether_the_least_value_is_0(text: str, known: bool) -> None:
    def config(method: Any) -> InversionConfig:
        options: dict[str, Any] = {"objective": text, "method": method}
        return InversionConfig(**options)

    assert objective(text).least_is_zero is known
    assert config("adam").objective == objective(text)
    for method in ("adam-polyak", "smooth"):
        if known:
            config(method)
            continue
        with pytest.raises(RequestError, match=f"method '{method}' needs an objective whose least"):
            config(method)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("relative_error:p=0.5", "number from 1 on, or inf, not '0.5'"),
        ("relative_error:p=x", "number from 1 on, or inf, not 'x'"),
        ("cosine:tv=-1", "'tv' of objective 'cosine' must be at least 0 and finite, not -1.0"),
        ("controversial", "needs a second model: controversial:model=ID_OR_FOLDER"),
        ("controversial:model=a/b,form=x", "form 'x' is unknown"),
        ("ensemble", "needs models: ensemble:models=ID"),
        ("ensemble:models=a/b,of=x", "of 'x' is unknown"),
        ("least", "objective 'least' is unknown"),
    ],
)
def test_what_is_no_objective_is_one_line(text: str, words: str) -> None:
    with pytest.raises(RequestError) as caught:
        objective(text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["relative_error:p=1", "relative_error:p=inf", "cosine"])
def test_other_distances_lower_the_error_too(text: str) -> None:
    net = network()
    work = items(net, 4)
    start = run(net, work, AdamPolyak(), passes=1)
    found = run(net, work, AdamPolyak(), passes=200, tolerance=0.05, objective=objective(text))
    assert (errors(net, work, found) < errors(net, work, start)).all()


def test_a_row_stops_by_its_error_and_keeps_that_iterate() -> None:
    net = network()
    work = items(net, 4)
    options: dict[str, Any] = {"passes": 400, "tolerance": 0.05}
    found = run(net, work, AdamPolyak(), objective=objective("relative_error:p=1"), **options)
    assert max(r.passes for r in found) < 400
    assert (errors(net, work, found) <= 0.045).all()


def test_a_regulariser_lowers_what_it_weighs_and_no_row_stops() -> None:
    net = network()
    work = items(net, 4)
    plain = run(net, work, Adam(), passes=150, tolerance=0.05)
    for name, term in (("tv", variation), ("blur", blurred)):
        rule, weighed = Adam(), objective(f"relative_error:{name}=3")
        found = run(net, work, rule, passes=150, tolerance=0.05, objective=weighed)
        assert all(r.passes == 150 for r in found)
        values = [torch.stack([r.value for r in some]) for some in (found, plain)]
        lower, higher = (term(v, (2, 3)).mean() for v in values)
        assert lower < 0.7 * higher


def test_the_iterate_of_the_least_loss_is_kept() -> None:
    net, losses = network(), list[Tensor]()
    work = items(net, 1)

    class Kept(type(objective("cosine:tv=1"))):  # type: ignore[misc]
        def loss(self, view: Seen) -> Tensor:
            losses.append(super().loss(view).detach())
            return super().loss(view)  # type: ignore[no-any-return]

    (found,) = run(net, work, Adam(lr=0.2), passes=40, objective=Kept(tv=1.0))
    value = found.value[None]
    view = Seen(value, torch.zeros(1), (net(value),), (work[0].target[None],), DOMAIN)
    least = torch.cat(losses).min()
    torch.testing.assert_close(objective("cosine:tv=1").loss(view)[0], least)


def test_further_models_are_run_on_the_same_inputs() -> None:
    net, other = network(0), network(1)
    work = [
        Item(w.key, w.start, w.target, others=(other(0.3 * torch.ones(1, *SHAPE).double())[0],))
        for w in items(net, 3)
    ]
    options: dict[str, Any] = {"passes": 150, "others": (lambda x, _: other(x),)}
    both = run(net, work, Adam(), objective=objective("ensemble:models=a/b"), **options)
    apart = run(net, work, Adam(), objective=objective("controversial:model=a/b"), **options)

    def second(found: Any) -> Tensor:
        values = torch.stack([r.value for r in found])
        return relative_error(other(values), torch.stack([w.others[0] for w in work]))

    assert (second(both) < second(apart)).all()


def test_rows_of_several_draws_repel_each_other_in_turn() -> None:
    net = network()
    (item,) = items(net, 1)

    def chain(weight: float) -> list[Tensor]:
        none = torch.full((1, *SHAPE), torch.nan).double()

        def then(value: Tensor | None) -> Item:
            assert value is not None
            return Item((0, 1), item.start, item.target, earlier=value[None])

        first = Item((0, 0), item.start, item.target, earlier=none, then=then)
        found = run(net, [first], Adam(), passes=80, diverse=weight)
        assert [r.key for r in found] == [(0, 0), (0, 1)]
        return [r.value for r in found]

    same_start, apart = chain(0.0), chain(0.5)
    assert torch.equal(*same_start)
    assert float((apart[0] - apart[1]).square().mean().sqrt()) > 0.05


def test_adam_is_that_of_torch() -> None:
    net = network()
    (item,) = items(net, 1)
    x = item.start.clamp(0.4, 0.6)[None].requires_grad_(True)
    optimiser = torch.optim.Adam([x], lr=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 20)
    iterates = []
    for _ in range(20):
        iterates.append(x.detach().clone())
        optimiser.zero_grad()
        relative_error(net(x), item.target[None]).sum().backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    seen_by: list[Tensor] = []

    def represent(values: Tensor) -> Tensor:
        seen_by.append(values.detach().clone())
        return net(values)  # type: ignore[no-any-return]

    begin = Item(item.key, item.start.clamp(0.4, 0.6), item.target)
    run(represent, [begin], Adam(lr=0.01), passes=20, constraint=Box(-9, 9))
    for one, other in zip(iterates, seen_by, strict=False):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


def test_the_last_iterate_is_kept_where_it_is_asked_for() -> None:
    net, iterates = network(), list[Tensor]()

    def represent(x: Tensor) -> Tensor:
        iterates.append(x.detach().clone())
        return net(x)  # type: ignore[no-any-return]

    work = items(net, 1)
    (last,) = run(represent, work, Paper(step_size=2.0, keep="last"), passes=33)
    assert torch.equal(last.value, iterates[-1][0])
    (best,) = run(net, work, Paper(step_size=2.0), passes=33)
    assert not same([last], [best])
    assert best.error <= last.error
