"""Acceptance of inversions, on vectors whose likenesses are known."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from stir_hf.scoring.acceptance import likeness, random_pairs, surpassing, thresholds

Vectors = NDArray[np.float64]


def published(a: Vectors, b: Vectors) -> list[float]:
    """The three measures of the published code, for one pair."""
    signal, noise = np.linalg.norm(a), np.linalg.norm(a - b)
    snr = 10 * np.log10(signal / noise)
    return [float(stats.spearmanr(a, b)[0]), float(stats.pearsonr(a, b)[0]), float(snr)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("digits", [0, 1, 16], ids=["many ties", "some ties", "no ties"])
def test_likenesses_are_those_of_the_published_code(digits: int, dtype: type) -> None:
    rng = np.random.default_rng(0)
    a: Vectors = np.round(rng.standard_normal((20, 40)), digits).astype(dtype)
    b: Vectors = np.round(a + rng.standard_normal((20, 40)), digits).astype(dtype)
    expected = [published(*pair) for pair in zip(a.astype(float), b.astype(float), strict=True)]
    np.testing.assert_allclose(likeness(a, b), expected, rtol=0, atol=1e-12)


def test_likenesses_in_closed_form() -> None:
    a = np.array([[3.0, 4.0, 0.0]])
    assert likeness(a, 0.9 * a)[0] == pytest.approx([1, 1, 10])  # a tenth off: 10 dB, not 20
    assert likeness(a, 2 * a)[0] == pytest.approx([1, 1, 0])
    assert likeness(a, -a)[0] == pytest.approx([-1, -1, 10 * np.log10(1 / 2)])
    tied = likeness(np.array([[1.0, 1.0, 2.0, 3.0]]), np.array([[1.0, 2.0, 2.0, 3.0]]))
    assert tied[0, 0] == pytest.approx(stats.spearmanr([1.5, 1.5, 3, 4], [1, 2.5, 2.5, 4])[0])


def test_equal_rows_are_infinitely_alike() -> None:
    a = np.random.default_rng(1).standard_normal((3, 9))
    found = likeness(a, a)
    np.testing.assert_allclose(found[:, :2], 1)
    assert np.isposinf(found[:, 2]).all()


def test_what_is_undefined_is_0() -> None:
    constant, zero, other = np.full((1, 3), 0.1), np.zeros((1, 3)), np.array([[1.0, 2.0, 4.0]])
    for a, b in ((constant, other), (other, constant), (zero, other), (other, zero), (zero, zero)):
        assert likeness(a, b)[0, :2].tolist() == [0, 0]
    assert likeness(zero, other)[0, 2] == likeness(zero, zero)[0, 2] == 0
    assert likeness(other, zero)[0, 2] == 0  # the noise is as large as the signal


@pytest.mark.parametrize("scale", [1e-45, 1e-30, 1e30, 1e38])
def test_correlations_do_not_depend_on_the_scale(scale: float) -> None:
    a, b = np.random.default_rng(2).standard_normal((2, 4, 12))
    np.testing.assert_allclose(likeness(scale * a, b)[:, :2], likeness(a, b)[:, :2], atol=1e-12)


def test_random_pairs_are_of_different_rows_and_from_the_seed_alone() -> None:
    pairs = random_pairs(5, 4000, seed=3)
    assert pairs.shape == (4000, 2)
    assert (pairs[:, 0] != pairs[:, 1]).all()
    _, counts = np.unique(pairs, axis=0, return_counts=True)
    assert len(counts) == 5 * 4  # every ordered pair, about equally often
    assert counts.min() > 140
    assert counts.max() < 260
    assert (pairs == random_pairs(5, 4000, seed=3)).all()
    assert (pairs != random_pairs(5, 4000, seed=4)).any()
    assert random_pairs(1, 10, seed=0).shape == (0, 2)


def test_a_threshold_is_the_largest_of_all_pairs() -> None:
    rng = np.random.default_rng(4)
    vectors, pairs = rng.standard_normal((30, 7)), random_pairs(30, 300, seed=0)
    read: list[list[int]] = []

    def rows(numbers: Sequence[int]) -> Vectors:
        read.append(list(numbers))
        return vectors[list(numbers)]

    expected = np.max([published(vectors[i], vectors[j]) for i, j in pairs], axis=0)
    found = thresholds(rows, pairs)
    assert found is not None
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert read == [sorted(set(pairs.ravel().tolist()))]


def test_copies_set_no_threshold() -> None:
    rng = np.random.default_rng(5)
    vectors = rng.standard_normal((6, 8))
    vectors[3] = vectors[0]
    pairs = np.array([[0, 3], [3, 0], [0, 1], [2, 3]])
    expected = likeness(vectors[[0, 2]], vectors[[1, 0]]).max(axis=0)
    found = thresholds(lambda rows: vectors[list(rows)], pairs)
    assert found is not None
    np.testing.assert_allclose(found, expected, atol=1e-15)
    assert thresholds(lambda rows: vectors[list(rows)], pairs[:2]) is None
    assert thresholds(lambda rows: vectors[list(rows)], pairs[:0]) is None


def test_all_three_must_be_above() -> None:
    limits = np.array([0.5, 0.6, 2.0])
    rows = np.array([[0.6, 0.7, 3.0], [0.5, 0.7, 3.0], [0.6, 0.6, 3.0], [0.6, 0.7, 2.0]])
    assert surpassing(rows, limits).tolist() == [True, False, False, False]
    assert surpassing(np.array([[1.0, 1.0, np.inf]]), limits).tolist() == [True]
