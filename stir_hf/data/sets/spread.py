"""The spread of representations, a scale for errors."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import hypot, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Spread:
    """The spread of some representations."""

    spread: float
    """Root mean square distance from their mean, above 0."""
    mean: float
    """The length of their mean vector."""

    @property
    def length(self) -> float:
        """Their root mean square length."""
        return hypot(self.mean, self.spread)


def spread_of(batches: Iterable[NDArray[np.floating[Any]]]) -> Spread | None:
    """The spread of representations (b, d), batch by batch, in float64; None if there are fewer
    than two, or all are equal.
    """
    count, squares = 0, 0.0
    origin = total = np.zeros(0)
    for batch in batches:
        if not len(batch):
            continue
        if not count:
            origin = batch[0].astype(np.float64)
            total = np.zeros_like(origin)
        moved = batch - origin
        count, squares = count + len(batch), squares + float((moved**2).sum())
        total = total + moved.sum(0)
    if count < 2:
        return None
    mean = total / count
    square = squares / count - float(mean @ mean)
    if square <= 0:
        return None
    return Spread(sqrt(square), float(np.linalg.norm(origin + mean)))
