"""Linear CKA and its debiased form against NumPy, and the properties that make them usable."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stir_hf.similarity import LinearCKA, debiased_cka, linear_cka
from tests import reference
from tests.reference import Matrix


def pair(n: int, d: int, e: int, seed: int = 0) -> tuple[Matrix, Matrix]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    y = x[:, : min(d, e)] @ rng.normal(size=(min(d, e), e)) + rng.normal(size=(n, e))
    return x, y


def offset(x: Matrix) -> Matrix:
    return x + 1e4


def rank_deficient(x: Matrix) -> Matrix:
    return np.hstack([x[:, :2]] * 3)


def duplicated(x: Matrix) -> Matrix:
    return np.vstack([x[: len(x) // 2], x[: len(x) - len(x) // 2]])


@pytest.mark.parametrize(
    "change",
    [None, offset, rank_deficient, duplicated],
    ids=lambda f: getattr(f, "__name__", "plain"),
)
@pytest.mark.parametrize(("n", "d", "e"), [(60, 8, 5), (20, 64, 33), (40, 30, 10), (9, 5, 5)])
def test_equals_the_definition(
    n: int, d: int, e: int, change: Callable[[Matrix], Matrix] | None
) -> None:
    x, y = pair(n, d, e)
    x = x if change is None else change(x)
    assert linear_cka(x, y) == pytest.approx(reference.linear_cka(x - x.mean(0), y), abs=1e-9)
    assert debiased_cka(x, y) == pytest.approx(reference.debiased_cka(x, y), abs=1e-9)


@settings(max_examples=25, derandomize=True, deadline=None)
@given(
    cuts=st.lists(st.integers(1, 17), min_size=1, max_size=12),
    merged=st.booleans(),
    seed=st.integers(0, 5),
)
def test_batches_order_and_merging_do_not_matter(cuts: list[int], merged: bool, seed: int) -> None:
    x, y = pair(40, 12, 7, seed)
    x, y = x + 300, y * 5
    order = np.random.default_rng(seed).permutation(40)
    bounds = [b for b in np.cumsum(cuts) if b < 40]
    parts = [LinearCKA() for _ in range(3)]
    for i, rows in enumerate(np.split(order, bounds)):
        parts[i % 3 if merged else 0].update(x[rows], y[rows])
    whole = parts[0]
    whole.merge(parts[1])
    whole.merge(parts[2])
    assert whole.n == 40
    assert whole.value() == pytest.approx(linear_cka(x, y), rel=1e-12)
    assert whole.debiased() == pytest.approx(debiased_cka(x, y), rel=1e-12)


def test_wide_rows_whose_products_are_cut_into_blocks() -> None:
    x, y = pair(600, 530, 520)
    assert linear_cka(x, y) == pytest.approx(reference.linear_cka(x, y), rel=1e-11)
    assert debiased_cka(x, y) == pytest.approx(reference.debiased_cka(x, y), rel=1e-11)


def test_every_batch_counts_not_only_the_last() -> None:
    x, y = pair(64, 6, 6)
    cka = LinearCKA()
    for rows in (slice(0, 32), slice(32, 63), slice(63, 64)):
        cka.update(x[rows], y[rows])
    assert cka.value() == pytest.approx(reference.linear_cka(x, y), abs=1e-9)
    assert abs(linear_cka(x[32:], y[32:]) - cka.value()) > 1e-3


@pytest.mark.parametrize("measure", [linear_cka, debiased_cka])
def test_invariant_to_rotation_scale_and_shift_but_no_other_map(
    measure: Callable[[Any, Any], float],
) -> None:
    x, y = pair(50, 10, 8)
    rng = np.random.default_rng(1)
    rotation = np.linalg.qr(rng.normal(size=(10, 10)))[0]
    assert measure(x @ rotation * 7 + 3, y) == pytest.approx(measure(x, y), abs=1e-9)
    assert abs(measure(x @ np.diag(np.geomspace(1e-2, 1, 10)), y) - measure(x, y)) > 0.01


def test_float32_with_a_large_offset_keeps_its_digits() -> None:
    x, y = pair(200, 16, 16)
    moved = torch.from_numpy(x).float() + 1e4
    assert linear_cka(moved, y) == pytest.approx(linear_cka(moved.double(), y), abs=1e-12)
    assert linear_cka(moved, y) == pytest.approx(linear_cka(x, y), abs=2e-3)


def test_few_rows_bias_cka_and_not_its_debiased_form() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 100, 512))
    assert linear_cka(x, y) > 0.8
    assert abs(debiased_cka(x, y)) < 0.05


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        (np.ones((10, 3)), np.eye(10), "rows of x are the same"),
        (np.eye(10), np.full((10, 3), 1e4, np.float32), "rows of y are the same"),
        (np.eye(10), np.eye(9), "x has 10 rows and y has 9"),
        (np.eye(2), np.eye(2), "at least 3 rows, not 2"),
        (np.eye(10) * np.nan, np.eye(10), "not all finite"),
        (np.ones(10), np.eye(10), r"expected rows of shape \(n, d\)"),
        (np.eye(10) * 1e100, np.eye(10), "too large or too small"),
        (np.eye(10)[:, :3] * 1e100, np.eye(10)[:, :3], "too large or too small"),
        (np.eye(10) * 1e-100, np.eye(10), "too large or too small"),
    ],
    ids=[
        "constant",
        "constant float32",
        "mismatch",
        "too few",
        "not finite",
        "not rows",
        "large",
        "large sums",
        "small",
    ],
)
def test_what_is_undefined_is_an_error(x: Matrix, y: Matrix, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        linear_cka(x, y)


def test_what_leaves_the_debiased_form_undefined_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least 4 rows, not 3"):
        debiased_cka(np.eye(3), np.eye(3))
    with pytest.raises(ValueError, match="rows of y are the same"):
        debiased_cka(np.eye(6), np.ones((6, 2)))


def test_widths_may_not_change() -> None:
    cka = LinearCKA()
    cka.update(np.eye(4), np.eye(4))
    with pytest.raises(ValueError, match="rows of widths"):
        cka.update(np.eye(3), np.eye(3))
