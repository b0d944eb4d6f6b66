"""Similarities under the null that the rows of two sides are not related, and what exceeds them.

Calibration after Gröger, Wen and Brbić (ICML 2026), algorithms 1 and 2: the rows of one side are
permuted K times; the threshold τ is the value at place ⌈(1 - α)(K + 1)⌉ of the observed and the K
permuted values in ascending order; p = (1 + #{permuted ≥ observed}) / (K + 1); and the calibrated
similarity is (s - τ) / (1 - τ), at least 0. It is 0 for a share 1 - α of unrelated sides.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stir_hf.similarity.measure import Measure

ALPHA = 0.05
LEAST = 20
"""The least number of samples: fewer have too few permutations that differ much."""


@dataclass(frozen=True)
class Calibrated:
    """A similarity beside those of permuted rows."""

    threshold: float
    """τ, in the scale of the measure."""
    p: float
    """The share of the values, observed or permuted, that are at least as close as the observed
    one, in (0, 1].
    """
    calibrated: float
    """(s - τ) / (1 - τ), in [0, 1], 1 the value of equal sides."""


def calibrated(
    measure: Measure, observed: float, permuted: NDArray[np.float64], alpha: float = ALPHA
) -> Calibrated:
    """Calibrate a value of a measure by those of K permutations, (K,).

    A distance d in [0, b] is calibrated as the similarity 1 - d / b. A measure without a largest
    value has 1 for equal sides.
    """
    most = measure.bounds[1]
    if measure.closer == "smaller":
        if most is None:
            raise ValueError("a distance without a largest value cannot be calibrated")
        found = _calibrated(1 - observed / most, 1 - permuted / most, alpha, 1.0)
        return Calibrated((1 - found.threshold) * most, found.p, found.calibrated)
    return _calibrated(observed, permuted, alpha, 1.0 if most is None else most)


def _calibrated(s: float, permuted: NDArray[np.float64], alpha: float, most: float) -> Calibrated:
    count = len(permuted)
    place = math.ceil((1 - alpha) * (count + 1) - 1e-9) - 1  # (1 - .05) · 200 is 190, not above
    threshold = float(np.sort(np.append(permuted, s))[place])
    p = (1 + int((permuted >= s).sum())) / (count + 1)
    left = max(most - threshold, 1e-12)
    return Calibrated(threshold, p, min(1.0, max(0.0, (s - threshold) / left)))


def permutations(count: int, times: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Random permutations (count,), the same for equal seeds."""
    generator = np.random.default_rng((seed, 0x4E554C4C))  # a stream of its own: the word NULL
    for _ in range(times):
        yield generator.permutation(count)


def restricted(order: NDArray[np.int64], there: NDArray[np.int64]) -> NDArray[np.int64]:
    """The permutation (m,) of some samples, by their places (m,) in ascending order, that a
    permutation (n,) of all of them gives: all draws of a sample move alike.
    """
    return np.argsort(order[there])
