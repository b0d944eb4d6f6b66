"""The displacements of a model on each pair, and differences of scores on the same pairs."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from stir_hf.errors import RequestError
from stir_hf.results.left_out import LeftOut
from stir_hf.results.parts import Interval
from stir_hf.results.score import Score

if TYPE_CHECKING:
    from numpy.typing import NDArray

COMPARED_PAIR = ("inversion_set", "measure", "num_samples", "draws")
"""What is equal for scores that have a difference."""


@dataclass(frozen=True, eq=False)
class Displacement:
    """The displacements of a judged model from each original to its inversion; one row per (sample,
    draw).
    """

    index: "NDArray[np.int64]"
    """(n,): the row of the sample in its split."""
    draw: "NDArray[np.int32]"
    """(n,): the number of the inversion of that sample, from 0."""
    relative_distance: "NDArray[np.float32]"
    """(n,): ‖model(x') - model(x)‖ / ‖model(x)‖: 0 where the model ignores the difference; NaN
    where model(x) is zero.
    """
    cosine: "NDArray[np.float32]"
    """(n,): the cosine of the angle between model(x') and model(x), in [-1, 1]; NaN where one is
    zero.
    """
    relative_error: "NDArray[np.float32]"
    """(n,): the same distance for the reference: the error of the inversion."""
    cluster: "NDArray[np.int64]"
    """(n,): the sample itself, or the first one that is equal on the canvas."""
    stir_without: "NDArray[np.float64] | None" = None
    """(n,): the debiased score without the samples of this cluster; None without intervals."""

    def leaving_out(
        self, clusters: "NDArray[np.int64] | None", left_out: LeftOut | None
    ) -> "Displacement":
        """Return a copy with the scores without each cluster, by their labels (c,)."""
        if clusters is None or left_out is None:
            return self
        places = np.searchsorted(clusters, self.cluster)
        return replace(self, stir_without=left_out.without[places])

    def left_out(self, value: float) -> LeftOut | None:
        """Return a debiased score and those without each cluster; None without intervals."""
        if self.stir_without is None:
            return None
        once = np.unique(self.cluster, return_index=True)[1]
        return LeftOut(value, self.stir_without[once])


@dataclass(frozen=True)
class Difference:
    """The difference of two debiased scores on the same inversions."""

    value: float
    """The first score minus the second."""
    interval: Interval
    """Its interval, by the jackknife over the samples of both."""
    level: float
    """The share of such intervals that contain the difference of all samples."""


def difference(
    scores: tuple[Score, Score], moves: tuple[Displacement, Displacement], level: float
) -> Difference:
    """Return the difference of two scores.

    Raises:
        RequestError: they are not of the same inversions under the same measure, or have no
            intervals.
    """
    for name in COMPARED_PAIR:
        one, two = (getattr(score, name) for score in scores)
        if one != two:
            raise RequestError(f"scores of {name} {one} and {two} have no difference")
    if not np.array_equal(moves[0].cluster, moves[1].cluster):
        raise RequestError("the scores are of different samples")
    values = (None if one.debiased is None else one.debiased.stir for one in scores)
    first, second = (
        None if value is None else move.left_out(value)
        for value, move in zip(values, moves, strict=True)
    )
    if first is None or second is None:
        raise RequestError("a score has no interval; score it again without --interval none")
    apart = first.minus(second)
    return Difference(apart.value, Interval(*apart.interval(level)), level)
