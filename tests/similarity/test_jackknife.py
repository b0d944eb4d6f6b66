"""The jackknife of debiased values against refits without each cluster of rows."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import t

from stir_hf.results.left_out import LeftOut, mean_of
from stir_hf.similarity import MEASURES, OfPairs, debiased_cka
from stir_hf.similarity.kernels import clusters_of
from tests.similarity.test_every_measure import related
from tests.similarity.test_null import kept

SHAPES = [(30, 6, 4), (20, 50, 8), (12, 3, 40), (60, 5, 5)]


@pytest.mark.parametrize("name", ["linear_cka", "rbf_cka"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("clusters", ["each", "threes", "one large"])
def test_against_refits(name: str, shape: tuple[int, int, int], clusters: str) -> None:
    x, y = related(*shape)
    x = x + 100
    n = len(x)
    labels = {"each": np.arange(n), "threes": np.arange(n) // 3, "one large": np.arange(n) % 9}
    rows = labels[clusters] if clusters != "one large" else np.minimum(np.arange(n), 6)
    measure = MEASURES.parse(name)
    assert isinstance(measure, OfPairs)
    kernels = measure.kernels(kept(x, y))
    assert kernels.debiased() == pytest.approx(measure.debiased_between(x, y), abs=1e-12)
    cut = clusters_of(rows)
    if n - max(map(len, cut)) < 4:
        cut = cut[:3]
    found = kernels.debiased_without(cut)
    if name == "rbf_cka":  # refits would take other widths
        k, m = (_gram(measure, side) for side in kept(x, y).centred())
        expected = [_debiased(np.delete(k, c, 0), np.delete(m, c, 0), c) for c in cut]
    else:
        expected = [debiased_cka(np.delete(x, c, 0), np.delete(y, c, 0)) for c in cut]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


def _gram(measure: OfPairs, rows: torch.Tensor) -> np.ndarray:
    return measure._gram(rows).numpy()  # type: ignore[attr-defined,no-any-return]


def _debiased(k: np.ndarray, m: np.ndarray, without: torch.Tensor) -> float:
    from tests.similarity.test_every_measure import hsic_by_definition, ratio

    k, m = np.delete(k, without, 1), np.delete(m, without, 1)
    return ratio(hsic_by_definition, k, m)


def test_the_interval_of_a_mean_is_the_textbook_s() -> None:
    values = np.random.default_rng(0).normal(size=20)
    without = (values.sum() - values) / 19
    found = LeftOut(float(values.mean()), without)
    error = values.std(ddof=1) / math.sqrt(20)
    assert found.error == pytest.approx(error, rel=1e-12)
    half = t.ppf(0.95, 19) * error
    low, high = found.interval(0.9)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), rel=1e-12)
    assert found.interval(0.9, (0.0, 0.1))[0] >= 0


def test_what_moves_both_values_alike_does_not_widen_their_difference() -> None:
    common = np.random.default_rng(1).normal(size=30)
    one, other = LeftOut(0.5, 0.5 + common), LeftOut(0.3, 0.3 + common)
    assert one.minus(other).value == pytest.approx(0.2)
    assert one.minus(other).error == pytest.approx(0, abs=1e-12)


def test_a_sample_that_a_draw_lacks_leaves_it_as_it_is() -> None:
    first = np.array([3, 5, 9]), LeftOut(1.0, np.array([0.1, 0.2, 0.3]))
    second = np.array([5, 7]), LeftOut(2.0, np.array([0.4, 0.6]))
    labels, found = mean_of([first, second])
    np.testing.assert_array_equal(labels, [3, 5, 7, 9])
    assert found.value == 1.5
    np.testing.assert_allclose(found.without, [1.05, 0.3, 0.8, 1.15])


def test_clusters_are_those_of_their_labels() -> None:
    found = clusters_of([7, 2, 7, 1])
    assert [c.tolist() for c in found] == [[3], [1], [0, 2]]


def test_rows_that_have_no_value_are_told() -> None:
    x = np.zeros((6, 2))
    x[0], x[1:, 1] = 1, 0.0
    kernels = MEASURES.parse("linear_cka").kernels(kept(x, x))  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="without some of the rows"):
        kernels.debiased_without(clusters_of(range(6)))
