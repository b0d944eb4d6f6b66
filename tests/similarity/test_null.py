"""Permutation nulls against the authors' algorithm, written out, and their uniform p."""

import math

import numpy as np
import pytest
import torch

from stir_hf.similarity import MEASURES, OfPairs
from stir_hf.similarity.null import calibrated, permutations, restricted
from stir_hf.similarity.pairs import Pairs
from tests.similarity.test_every_measure import related

MEASURED = ["linear_cka", "rbf_cka", "procrustes", "mutual_knn", "rsa"]


def kept(x: np.ndarray, y: np.ndarray) -> Pairs:
    pairs = Pairs(keep=True)
    pairs.update(x, y)
    return pairs


@pytest.mark.parametrize("name", MEASURED)
@pytest.mark.parametrize("shape", [(40, 6, 5), (24, 50, 30)], ids=["tall", "wide"])
def test_permuted_values_are_those_of_permuted_rows(name: str, shape: tuple[int, int, int]) -> None:
    x, y = related(*shape)
    measure = MEASURES.parse(name)
    assert isinstance(measure, OfPairs)
    orders = list(permutations(len(x), 12, seed=3))
    found = measure.permuted(kept(x, y), orders)
    expected = [measure.between(x, y[order]) for order in orders]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("count", [19, 100, 199, 200])
def test_the_calibration_is_that_of_the_paper(count: int) -> None:
    rng = np.random.default_rng(count)
    null = rng.uniform(0, 0.5, count)
    for observed in (0.1, 0.6, float(null.max()), float(null.min())):
        found = calibrated(MEASURES.parse("linear_cka"), observed, null)
        order = sorted([observed, *null])
        threshold = order[math.ceil(round(0.95 * (count + 1), 9)) - 1]
        assert found.threshold == threshold
        assert found.p == (1 + sum(v >= observed for v in null)) / (count + 1)
        expected = min(max((observed - threshold) / (1 - threshold), 0), 1)
        assert found.calibrated == pytest.approx(expected, abs=1e-12)


def test_a_distance_is_calibrated_as_a_similarity() -> None:
    null = np.linspace(1.2, 1.8, 99)
    found = calibrated(MEASURES.parse("procrustes"), 0.6, null)
    assert found.p == 0.01
    assert found.threshold == pytest.approx(float(np.sort(null)[4 - 0]), abs=0.01)
    flipped = (0.7 - (1 - found.threshold / 2)) / (found.threshold / 2)
    assert found.calibrated == pytest.approx(flipped)
    assert calibrated(MEASURES.parse("procrustes"), 1.9, null).calibrated == 0


def test_permutations_are_those_of_the_seed() -> None:
    one, same, other = (list(permutations(30, 5, seed)) for seed in (1, 1, 2))
    assert all((a == b).all() for a, b in zip(one, same, strict=True))
    assert not all((a == b).all() for a, b in zip(one, other, strict=True))
    assert all(sorted(a) == list(range(30)) for a in one)


def test_all_draws_of_a_sample_move_alike() -> None:
    order = np.array([3, 0, 4, 1, 2])
    np.testing.assert_array_equal(restricted(order, np.arange(5)), np.argsort(order))
    without = restricted(order, np.array([0, 2, 3]))
    assert sorted(without) == [0, 1, 2]
    np.testing.assert_array_equal(without, np.argsort([3, 4, 1]))


@pytest.mark.verify
def test_p_is_uniform_where_the_sides_are_not_related() -> None:
    from scipy.stats import kstest

    rng, found = np.random.default_rng(0), []
    measure = MEASURES.parse("linear_cka")
    assert isinstance(measure, OfPairs)
    for seed in range(500):
        x, y = rng.normal(size=(40, 6)), rng.normal(size=(40, 9))
        null = measure.permuted(kept(x, y), list(permutations(40, 199, seed)))
        found.append(calibrated(measure, measure.between(x, y), null).p)
    jitter = np.array(found) - rng.uniform(size=500) / 200  # p is a multiple of 1/200
    assert kstest(jitter, "uniform").pvalue > 0.01
    assert torch.tensor(found).le(0.05).float().mean() == pytest.approx(0.05, abs=0.03)
