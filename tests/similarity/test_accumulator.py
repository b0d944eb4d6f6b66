"""The accumulator of linear CKA: streams, merging, what it keeps, and what travels between
processes.
"""

import pickle
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stir_hf.similarity import ConstantError, LinearCKA, debiased_cka, linear_cka
from tests import reference
from tests.reference import Matrix
from tests.similarity.test_linear_cka import pair


def accumulated(x: Matrix, y: Matrix, *, batch: int = 32, chunk: int = 1024) -> LinearCKA:
    cka = LinearCKA(chunk=chunk)
    for start in range(0, len(x), batch):
        cka.update(x[start : start + batch], y[start : start + batch])
    return cka


def nearly_constant(n: int, d: int) -> Matrix:
    """float32 rows that are the same up to the last digit."""
    rng = np.random.default_rng(3)
    row = rng.normal(size=d).astype(np.float32)
    rows = row * (1 + np.finfo(np.float32).eps * rng.integers(-1, 2, (n, d)))
    return rows.astype(np.float32)


def plain(x: Matrix) -> Matrix:
    return x


def first_chunk_far(x: Matrix) -> Matrix:
    return x + 1e4 * (np.arange(len(x)) < 1024)[:, None]


def few_first_rows_far(x: Matrix) -> Matrix:
    return x + 1e4 * (np.arange(len(x)) < 5)[:, None]


def drifting(x: Matrix) -> Matrix:
    return x + 1e3 * (np.arange(len(x)) // 1000)[:, None]


def far(x: Matrix) -> Matrix:
    return x + 1e8


def float32_far(x: Matrix) -> Matrix:
    return (x + 1e4).astype(np.float32)


@pytest.mark.parametrize(
    "change", [plain, first_chunk_far, few_first_rows_far, drifting, far, float32_far]
)
def test_ten_thousand_rows_against_long_doubles(change: Callable[[Matrix], Matrix]) -> None:
    x, y = pair(10_000, 6, 4)
    x = change(x)
    cka = accumulated(x, y)
    expected = [reference.cka_of_many(x, y, debiased=flag) for flag in (False, True)]
    assert cka.value() == pytest.approx(expected[0], rel=1e-11)
    assert cka.debiased() == pytest.approx(expected[1], rel=1e-11)


def test_the_reference_for_many_rows_is_the_definition() -> None:
    x, y = pair(50, 6, 4)
    assert reference.cka_of_many(x, y, debiased=False) == pytest.approx(
        reference.linear_cka(x, y), rel=1e-12
    )
    assert reference.cka_of_many(x, y, debiased=True) == pytest.approx(
        reference.debiased_cka(x, y), rel=1e-12
    )


@settings(max_examples=30, derandomize=True, deadline=None)
@given(data=st.data())
def test_merging_in_any_order_and_tree_gives_the_same(data: st.DataObject) -> None:
    d, e = data.draw(st.sampled_from([(3, 2), (12, 7), (40, 5)]), "widths")
    sizes = data.draw(st.lists(st.integers(0, 30), min_size=2, max_size=7), "sizes")
    x, y = pair(sum(sizes) + 4, d, e, seed=data.draw(st.integers(0, 3)))
    x = x + 300
    bounds = np.cumsum([*sizes])
    chunk = data.draw(st.sampled_from([1, 8, 1024]), "chunk")
    parts = [
        accumulated(x[rows], y[rows], batch=5, chunk=chunk)
        for rows in np.split(np.arange(len(x)), bounds)
    ]
    while len(parts) > 1:
        one = parts.pop(data.draw(st.integers(0, len(parts) - 1), "into"))
        other = parts.pop(data.draw(st.integers(0, len(parts) - 1), "from"))
        before = pickle.dumps(other)
        one.merge(other)
        assert pickle.dumps(other) == before
        parts.insert(data.draw(st.integers(0, len(parts)), "to"), one)
    assert parts[0].n == len(x)
    assert parts[0].value() == pytest.approx(linear_cka(x, y), rel=1e-12)
    assert parts[0].debiased() == pytest.approx(debiased_cka(x, y), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(("n", "d"), [(6, 8), (60, 8)], ids=["rows", "sums"])
@pytest.mark.parametrize("chunk", [8, 1024])
def test_merging_keeps_what_rounding_hides(n: int, d: int, chunk: int) -> None:
    x, y = nearly_constant(n, d), pair(n, d, d)[1]
    seen = accumulated(x, y, chunk=chunk)
    into_empty, into_double = LinearCKA(chunk=chunk), accumulated(x[:0], y[:0], chunk=chunk)
    into_double.update(x[:1].astype(np.float64), y[:1])
    for cka in (into_empty, into_double):
        cka.merge(seen)
    for cka in (seen, into_empty, into_double):
        with pytest.raises(ConstantError, match="rows of x are the same"):
            cka.value()


def test_the_rounding_of_one_side_says_nothing_of_the_other() -> None:
    x, y = pair(50, 6, 4)
    coarse = torch.from_numpy(y).bfloat16()
    moved = x + 1e7  # a spread of 1e-7 of its size: plenty in float64
    assert linear_cka(moved, coarse) == pytest.approx(
        linear_cka(x, coarse.double()), rel=1e-7, abs=0
    )


@pytest.mark.parametrize("n", [6, 60], ids=["rows", "sums"])
def test_merging_with_itself_counts_the_rows_twice(n: int) -> None:
    x, y = pair(n, 8, 5)
    cka = accumulated(x, y, chunk=16)
    cka.merge(cka)
    twice = np.vstack([x, x]), np.vstack([y, y])
    assert cka.n == 2 * n
    assert cka.debiased() == pytest.approx(reference.debiased_cka(*twice), abs=1e-12)


def test_after_a_merge_each_goes_its_own_way() -> None:
    x, y = pair(60, 8, 5)
    other = accumulated(x[:40], y[:40], chunk=16)
    before = other.value()
    cka = LinearCKA(chunk=16)
    cka.merge(other)
    cka.update(x[40:], y[40:])
    other.update(x[:20] * 9, y[:20])
    assert cka.value() == pytest.approx(linear_cka(x, y), rel=1e-12)
    assert other.value() != before


def test_what_cannot_be_merged_changes_nothing() -> None:
    x, y = pair(20, 8, 5)
    cka, other = accumulated(x, y), accumulated(x, x)
    before = cka.value()
    with pytest.raises(ValueError, match=r"rows of widths \(8, 8\) after rows of widths \(8, 5\)"):
        cka.merge(other)
    cka.merge(LinearCKA())
    assert (cka.n, cka.value()) == (20, before)


def test_asking_for_the_value_changes_nothing() -> None:
    x, y = pair(100, 6, 5)
    asked = LinearCKA(chunk=16)
    for start in range(0, 100, 10):
        asked.update(x[start : start + 10], y[start : start + 10])
        asked.value()
    never = accumulated(x, y, batch=10, chunk=16)
    assert (asked.value(), asked.debiased()) == (never.value(), never.debiased())


@pytest.mark.parametrize("n", [6, 60], ids=["rows", "sums"])
def test_pickled_and_taken_up_again(n: int) -> None:
    x, y = pair(n, 8, 5)
    cka = accumulated(x, y, chunk=16)
    again = pickle.loads(pickle.dumps(cka))
    for one in (cka, again):
        one.update(x[:3] + 1, y[:3])
    assert (again.n, again.value(), again.debiased()) == (n + 3, cka.value(), cka.debiased())


def test_what_is_kept_does_not_grow_with_the_rows() -> None:
    x, y = pair(20_000, 8, 8)
    short, long = (len(pickle.dumps(accumulated(x[:n], y[:n]))) for n in (1300, 20_000))
    chunk = 1024 * (8 + 8) * 8
    assert short < 1.5 * chunk
    assert long < 1.5 * chunk


def test_the_caller_may_refill_the_rows_in_place() -> None:
    x, y = (torch.from_numpy(side) for side in pair(40, 8, 5))
    cka, slots = LinearCKA(), (torch.empty(10, 8, dtype=x.dtype), torch.empty(10, 5, dtype=y.dtype))
    for start in range(0, 40, 10):
        slots[0].copy_(x[start : start + 10])
        slots[1].copy_(y[start : start + 10])
        cka.update(*slots)
    assert cka.value() == pytest.approx(linear_cka(x, y), rel=1e-12)


def test_arrays_of_any_layout_are_taken() -> None:
    x, y = pair(30, 8, 5)
    frozen = x.copy()
    frozen.flags.writeable = False
    expected = linear_cka(x, y)
    wide = torch.from_numpy(np.repeat(x, 2, 1))[:, ::2].requires_grad_()
    for rows in (frozen, np.asfortranarray(x), wide, x.tolist()):
        assert linear_cka(rows, y) == pytest.approx(expected, rel=1e-12)
    assert linear_cka(x[::-1], y[::-1]) == pytest.approx(expected, rel=1e-12)
    whole = np.round(x * 10)
    assert linear_cka(whole.astype(np.int64), y) == linear_cka(whole, y)


DEVICES = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]


@pytest.mark.parametrize("device", DEVICES)
def test_rows_may_lie_on_any_device(device: str) -> None:
    x, y = (torch.from_numpy(side).float() for side in pair(30, 8, 5))
    assert linear_cka(x.to(device), y.to(device)) == linear_cka(x.numpy(), y.numpy())
