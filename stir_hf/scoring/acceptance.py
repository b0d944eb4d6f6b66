"""Acceptance of inversions: closer to their originals than random pairs of originals are.

Feather et al. 2023 keep a metamer if the network gives it the class of its original, and if three
likenesses of the two representations are beyond all those of random pairs of images; their code
`distance_measures.py` and `make_null_distributions.py`. Here the class is that of the network
itself, where theirs is one of 16 groups; the pairs are of the images of the set, where theirs are a
million of the training data; and a value that equals the threshold is not accepted.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

LIKENESSES = ("spearman", "pearson", "snr")
"""Spearman's ρ, Pearson's r, and the signal-to-noise ratio in dB."""

_AT_ONCE = 64

Vectors = NDArray[np.float64]
Read = Callable[[Sequence[int]], NDArray[np.floating[Any]]]
"""Function from row numbers, in ascending order and without repeats, to representations (b, d)."""


def likeness(a: NDArray[np.floating[Any]], b: NDArray[np.floating[Any]]) -> Vectors:
    """Return (n, 3): ρ, r and 10 log₁₀(‖a‖ / ‖a - b‖) of each row of a and b, (n, d) each.

    Equal rows have a ratio of infinity. A correlation with a constant row, and the ratio for a row
    of zeros, are 0, as in the published code.
    """
    x, y = a.astype(np.float64), b.astype(np.float64)
    signal, noise = np.linalg.norm(x, axis=1), np.linalg.norm(x - y, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        snr = np.where(signal > 0, 10 * np.log10(signal / noise), 0.0)
    return np.stack((_correlation(_ranks(x), _ranks(y)), _correlation(x, y), snr), axis=1)


def _correlation(a: Vectors, b: Vectors) -> Vectors:
    """Return (n,): Pearson's correlation of each row; 0 with a constant row."""
    x, y = _standard(a), _standard(b)
    varies = (np.ptp(a, axis=1) > 0) & (np.ptp(b, axis=1) > 0)
    return np.where(varies, np.einsum("nd,nd->n", x, y).clip(-1, 1), 0.0)


def _standard(a: Vectors) -> Vectors:
    """Return rows without their mean, of length 1; a constant row is not finite or rounding."""
    largest = np.abs(a).max(axis=1, keepdims=True)
    scaled = a / np.where(largest > 0, largest, 1)  # the squares of tiny values would vanish
    centred = scaled - scaled.mean(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        standard: Vectors = np.nan_to_num(centred / np.linalg.norm(centred, axis=1, keepdims=True))
    return standard


def _ranks(a: Vectors) -> Vectors:
    """Return the ranks of the values of each row, (n, d), from 1; ties have their mean rank."""
    ranks = np.empty(a.shape)
    for row, values in zip(ranks, a, strict=True):
        _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
        row[:] = (counts.cumsum() - (counts - 1) / 2)[place]
    return ranks


def random_pairs(count: int, pairs: int, seed: int) -> NDArray[np.int64]:
    """Return (pairs, 2): random pairs of different numbers below `count`, with repeats, from the
    seed alone; (0, 2) for fewer than two.
    """
    if count < 2:
        return np.zeros((0, 2), np.int64)
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence(seed)))
    first, shift = rng.integers(count, size=pairs), rng.integers(1, count, size=pairs)
    return np.stack((first, (first + shift) % count), axis=1)


def thresholds(read: Read, pairs: NDArray[np.int64]) -> Vectors | None:
    """Return (3,): the largest likeness of any of some pairs of rows, each measure by itself.

    Pairs of equal representations are left out: nothing can surpass copies. Return None if no pair
    is left.
    """
    if not len(pairs):
        return None
    rows, place = np.unique(pairs, return_inverse=True)
    vectors = read(rows.tolist())
    place = place.reshape(pairs.shape)
    found = [np.full((1, 3), -np.inf)]
    for some in np.split(place, range(_AT_ONCE, len(place), _AT_ONCE)):
        a, b = vectors[some[:, 0]], vectors[some[:, 1]]
        differ: NDArray[np.bool_] = (a != b).any(axis=1)
        found.append(likeness(a[differ], b[differ]))
    largest: Vectors = np.concatenate(found).max(axis=0)
    return None if np.isneginf(largest).any() else largest


def surpassing(found: Vectors, limits: Vectors) -> NDArray[np.bool_]:
    """Return (n,): whether all three likenesses (n, 3) of a row are above their thresholds (3,)."""
    return np.logical_and.reduce(found > limits, axis=1)  # type: ignore[no-any-return]
