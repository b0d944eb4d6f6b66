"""Intervals of debiased values by the delete-one jackknife over clusters of rows.

Images, not rows, are drawn from a population: all rows of an image (its draws, its frames, its
copies) are left out together. With θ₋ᵢ the value without cluster i, the variance of θ is
(c - 1)/c Σ (θ₋ᵢ - mean)² (Efron and Stein 1981), and the interval θ ± t s has c - 1 degrees of
freedom. Percentile bootstraps repeat rows, which a kernel takes for pairs that are alike, and
biased values fall with the number of rows, so neither has an interval here.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class LeftOut:
    """A value of some clusters, and the values without each of them."""

    value: float
    without: Array
    """(c,)"""

    @property
    def error(self) -> float:
        """The standard error by the jackknife."""
        count = len(self.without)
        squares = float(np.square(self.without - self.without.mean()).sum())
        return math.sqrt((count - 1) / count * squares)

    def interval(
        self, level: float, bounds: tuple[float, float] = (-math.inf, math.inf)
    ) -> tuple[float, float]:
        """The interval of a level in (0, 1), within bounds."""
        from scipy.stats import t as student  # half a second to import

        half = float(student.ppf((1 + level) / 2, len(self.without) - 1)) * self.error
        low, high = bounds
        return max(low, self.value - half), min(high, self.value + half)

    def minus(self, other: "LeftOut") -> "LeftOut":
        """The difference of two values of the same clusters, which is paired: what moves both
        values alike does not widen its interval.
        """
        return LeftOut(self.value - other.value, self.without - other.without)


def mean_of(parts: Sequence[tuple[NDArray[Any], LeftOut]]) -> tuple[NDArray[Any], LeftOut]:
    """The mean of values over draws, with the labels of their clusters (c,) in each; a cluster
    that a draw lacks leaves that draw's value as it is.
    """
    labels = np.unique(np.concatenate([labels for labels, _ in parts]))
    without = np.empty((len(parts), len(labels)))
    for row, (own, found) in zip(without, parts, strict=True):
        row[:] = found.value
        row[np.searchsorted(labels, own)] = found.without
    return labels, LeftOut(float(np.mean([p.value for _, p in parts])), without.mean(0))
