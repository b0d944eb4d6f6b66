"""Where a measure is undefined but for rounding: columns that are constant, each by its own size,
and sides whose unbiased HSIC with themselves is 0. Each in both forms, rows and sums, and merged.
"""

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stir_hf.similarity import ConstantError, LinearCKA, debiased_cka, linear_cka
from tests import reference
from tests.reference import Matrix
from tests.similarity.test_linear_cka import pair

FORMS = ["rows", "sums", "merged rows", "merged sums"]


def seen(x: Matrix, y: Matrix, form: str) -> LinearCKA:
    """An accumulator of these rows; columns of zeros, which change nothing, make the rows form."""
    if "rows" in form:
        x = np.hstack([x, np.zeros((len(x), len(x)), x.dtype)])
    else:
        assert len(x) > max(x.shape[1], y.shape[1])
    parts = np.array_split(np.arange(len(x)), 3) if "merged" in form else [np.arange(len(x))]
    whole = LinearCKA(chunk=4)
    for rows in parts:
        part = LinearCKA(chunk=4)
        part.update(x[rows], y[rows])
        whole.merge(part)
    return whole


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("huge", [1e8, -3e5, 1e12])
def test_a_column_that_is_constant_says_nothing_of_the_others(
    form: str, dtype: type, huge: float
) -> None:
    x, y = pair(40, 6, 4)
    x = x.astype(dtype)
    exact = x.astype(np.float64)
    expected = reference.linear_cka(exact - exact.mean(0), y), reference.debiased_cka(exact, y)
    x = np.hstack([x[:, :2], np.full((40, 1), huge, dtype), x[:, 2:]])
    cka = seen(x, y, form)
    assert (cka.value(), cka.debiased()) == pytest.approx(expected, rel=1e-12)
    both = seen(x, x[:, ::-1], form)
    assert (both.value(), both.debiased()) == pytest.approx((1, 1), rel=1e-12)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("sizes", [(1e8, 1, 1e-6), (1e8, 0, 0), (3, 3, 3)])
def test_a_side_is_constant_where_every_column_is(form: str, sizes: tuple[float, ...]) -> None:
    rng = np.random.default_rng(0)
    last_digits = 1 + np.finfo(np.float32).eps * rng.integers(-1, 2, (30, 3))
    x, y = (np.asarray(sizes) * last_digits).astype(np.float32), rng.normal(size=(30, 3))
    for one, other, side in ((x, y, "x"), (y, x, "y")):
        with pytest.raises(ConstantError, match=f"all rows of {side} are the same"):
            seen(one, other, form).value()
    x[7, 1] += max(sizes[1], 1) * np.float32(1e-4)  # a hundred units of rounding of that column
    if sizes[0] == 1e8:  # its last digits, 10 and more, are all that a sum of squares shows
        with pytest.raises(ValueError, match="column 0 of x is so large that its rounding hides"):
            seen(x, y, form).value()
        return
    expected = reference.linear_cka(x - x.mean(0, dtype=np.float64), y)
    assert seen(x, y, form).value() == pytest.approx(expected, rel=1e-6)


def exact_hsic(x: Matrix, y: Matrix) -> Fraction:
    """n(n - 3) times the unbiased HSIC of whole numbers, exactly (Song et al. 2012, eq. 5)."""
    k, m = ([[sum(map(int, a * b)) for b in s] for a in s] for s in (x, y))
    n = len(x)
    off = [(i, j) for i in range(n) for j in range(n) if i != j]
    k_rows, m_rows = ([sum(g[i]) - g[i][i] for i in range(n)] for g in (k, m))
    return (
        Fraction(sum(k[i][j] * m[i][j] for i, j in off))
        + Fraction(sum(k_rows) * sum(m_rows), (n - 1) * (n - 2))
        - Fraction(2, n - 2) * sum(a * b for a, b in zip(k_rows, m_rows, strict=True))
    )


@st.composite
def whole_numbers(draw: st.DrawFn) -> Matrix:
    """Rows of small whole numbers, many of them equal."""
    n, d = draw(st.integers(5, 12), "n"), draw(st.integers(1, 4), "d")
    few = st.lists(st.sampled_from([0, 0, 1, -2, 3]), min_size=d, max_size=d)
    distinct = draw(st.lists(few, min_size=1, max_size=4), "distinct")
    which = draw(st.lists(st.sampled_from(distinct), min_size=n, max_size=n), "rows")
    return np.asarray(which, np.float64)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(
    whole_numbers(),
    st.sampled_from(FORMS),
    st.sampled_from([0.0, 7.0, 1e4, 1e8]),
    st.sampled_from([1.0, 0.1, 1e-9, 1e9]),
    st.sampled_from([np.float32, np.float64]),
)
@example(np.eye(5, 1), "merged sums", 1e8, 1.0, np.float64)
@example(np.eye(9, 4), "merged sums", 1e4, 0.1, np.float64)
@example(np.eye(6, 1)[[0, 1, 1, 0, 1, 1]], "sums", 0.0, 0.1, np.float32)
def test_equals_exact_arithmetic_or_is_refused(
    x: Matrix, form: str, offset: float, scale: float, dtype: type
) -> None:
    y = pair(len(x), 1, 3)[1]
    y = np.round(y * 8)
    own = exact_hsic(x, x)
    assert own >= 0
    offset = 0 if offset * np.finfo(dtype).eps > 1e-4 else offset
    moved: Matrix = ((x + offset) * scale).astype(dtype)
    cka = seen(moved, y, form)
    if (x == x[0]).all():
        with pytest.raises(ConstantError):
            cka.debiased()
    elif own == 0:
        assert 0 <= cka.value() <= 1
        with pytest.raises(ValueError, match="HSIC of x with itself is 0"):
            cka.debiased()
    else:
        expected = float(exact_hsic(x, y)) / np.sqrt(float(own) * float(exact_hsic(y, y)))
        close = 1e-9 if scale == 1 else 100 * float(np.finfo(dtype).eps) * max(1, offset)
        assert cka.debiased() == pytest.approx(expected, abs=close)


def outlier(n: int, d: int) -> Matrix:
    return np.eye(n)[:, :1] * np.arange(1.0, d + 1)


def equally_far(n: int, d: int) -> Matrix:
    return np.eye(n)[:, :d]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("rows", [outlier, equally_far])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("base", [0.0, 1.0])
def test_rows_that_differ_else_by_rounding_only(
    form: str, rows: Callable[[int, int], Matrix], dtype: torch.dtype, base: float
) -> None:
    rng = np.random.default_rng(1)
    x = (rows(30, 29) + base) * (1 + torch.finfo(dtype).eps * rng.integers(-1, 2, (30, 29)))
    rounded = torch.from_numpy(x).to(dtype).double().numpy()
    y = pair(30, 4, 4)[1]
    for one, other, side in ((rounded, y, "x"), (y, rounded, "y")):
        cka = seen(one, other, form)
        fine, coarse = (8 * torch.finfo(t).eps for t in (torch.float64, dtype))
        cka._resolution = (coarse, fine) if side == "x" else (fine, coarse)
        assert 0 <= cka.value() <= 1
        with pytest.raises(ValueError, match=f"HSIC of {side} with itself is 0"):
            cka.debiased()


@pytest.mark.parametrize(("n", "d"), [(8, 4), (30, 200), (300, 20), (20, 5000)])
@pytest.mark.parametrize("relative_spread", [1.0, 1e-2, 1e-4])
def test_what_spreads_by_more_than_rounding_is_measured(
    n: int, d: int, relative_spread: float
) -> None:
    x, y = pair(n, d, 6)
    x = (x + 1 / relative_spread).astype(np.float32)
    expected = reference.debiased_cka(x.astype(np.float64), y)
    assert debiased_cka(x, y) == pytest.approx(expected, abs=1e-9)


@settings(max_examples=100, derandomize=True, deadline=None)
@given(
    st.lists(st.lists(st.floats(-2, 2, width=32), min_size=3, max_size=3), min_size=5, max_size=9),
    st.sampled_from(FORMS),
)
def test_any_numbers_give_a_sane_one_or_are_refused(rows: list[list[float]], form: str) -> None:
    x = np.asarray(rows)
    y = np.roll(x, 1, 0) ** 2 + pair(len(x), 1, 3)[1]
    cka = seen(x, y, form)
    for value, low in ((cka.value, 0), (cka.debiased, -1)):
        try:
            found = value()
        except ValueError:
            continue
        assert low <= found <= 1
        expected = reference.cka_of_many(x, y, debiased=low < 0)
        assert found == pytest.approx(expected, abs=2e-3)


def test_the_two_functions_refuse_alike() -> None:
    y = pair(8, 3, 3)[1]
    for rows in (np.eye(8), np.eye(8)[:, :1], np.eye(8, dtype=np.float32)[:, :3] * 1e3):
        assert 0 < linear_cka(rows, y) < 1
        with pytest.raises(ValueError, match="HSIC of x with itself is 0"):
            debiased_cka(rows, y)


@pytest.mark.parametrize("rows", [40, 300])
def test_a_column_that_spreads_by_rounding_alone_hides_no_others(rows: int) -> None:
    """Both forms: 40 rows of 65 columns, and 300."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(rows, 64, generator=generator)
    jitter = torch.randint(-1, 2, (rows, 1), generator=generator)
    for size, hides in ((1e8, True), (1e3, False)):
        column = size + jitter * torch.tensor(size * 2.0**-23)
        both = [torch.cat([x, c], 1) for c in (column, column.roll(7, 0))]
        if hides:
            with pytest.raises(ValueError, match="column 64 of x is so large that its rounding"):
                linear_cka(*both)
        else:
            assert linear_cka(*both) == pytest.approx(1, abs=1e-6)
