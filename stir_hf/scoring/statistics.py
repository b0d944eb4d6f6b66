"""Intervals, deviations over draws and nulls of a score."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stir_hf.data.sets.inversions import Inversions
from stir_hf.engine import STARTS
from stir_hf.errors import RequestError
from stir_hf.results import Interval, Null
from stir_hf.results.left_out import LeftOut, mean_of
from stir_hf.scoring.checks import JudgeConfig
from stir_hf.similarity import Measure, OfPairs
from stir_hf.similarity.kernels import clusters_of
from stir_hf.similarity.null import ALPHA, calibrated, permutations, restricted
from stir_hf.similarity.several import Several

LEAST_LEFT = 4
"""The least number of rows without a cluster of which a debiased value is defined."""


@dataclass(frozen=True)
class Statistics:
    """What is known of a score beyond its value; None where that was not asked for."""

    interval: Interval | None = None
    interval_level: float | None = None
    draw_deviation: float | None = None
    null: Null | None = None
    left_out: LeftOut | None = None
    clusters: NDArray[np.int64] | None = None
    """(c,): the labels of the clusters that `left_out` is of."""

    def of_score(self) -> dict[str, Any]:
        """The fields of a score."""
        names = ("interval", "interval_level", "draw_deviation", "null")
        return {name: getattr(self, name) for name in names}


def statistics(
    inversions: Inversions,
    measure: Measure,
    parts: Sequence[Mapping[str, Several]],
    judge: JudgeConfig,
    labels: NDArray[np.int64],
    notes: list[str],
) -> Statistics:
    """The statistics of STIR from the accumulators of each draw.

    Args:
        inversions: the judged set.
        measure: the measure.
        parts: the accumulators of each draw, by anchor.
        judge: the options.
        labels: (n,): the cluster of each row of the set; see `cluster_labels`.
        notes: gets a note where something is undefined.
    """
    pairs, found = [part["stir"].pairs for part in parts], dict[str, Any]()
    level = judge.level(measure)
    if len(parts) > 1 and measure.has_debiased:
        found["draw_deviation"] = _deviation(measure, [part["stir"] for part in parts])
    draws = [inversions.draw == draw for draw in range(len(parts))]
    if level is not None and isinstance(measure, OfPairs):
        try:
            clusters, left_out = mean_of(
                [
                    _left_out(measure, own, labels[rows])
                    for own, rows in zip(pairs, draws, strict=True)
                ]
            )
        except ValueError as error:
            notes.append(f"interval undefined: {error}")
        else:
            interval = Interval(*left_out.interval(level, (-1.0, 1.0)))
            found |= {"interval": interval, "interval_level": level}
            found |= {"left_out": left_out, "clusters": clusters}
            notes += _shared(inversions)
    if judge.null and isinstance(measure, OfPairs):
        samples = [inversions.index[rows] for rows in draws]
        found["null"] = _null(measure, pairs, samples, judge.null, inversions.engine["seed"])
    return Statistics(**found)


def cluster_labels(inversions: Inversions) -> NDArray[np.int64]:
    """(n,): the index of the first original that is equal on the canvas, for each row; copies are
    no further samples.
    """
    hashes = inversions.stored.values("canvas_hash", np.arange(len(inversions)))
    first: dict[Any, int] = {}
    for index, digest in sorted(zip(inversions.index.tolist(), hashes, strict=True), key=_index):
        first.setdefault(index if digest is None else digest, index)
    pairs = zip(inversions.index.tolist(), hashes, strict=True)
    return np.array([first[i if h is None else h] for i, h in pairs], np.int64)


def _index(pair: tuple[int, Any]) -> int:
    return pair[0]


def _left_out(
    measure: OfPairs, pairs: Any, labels: NDArray[np.int64]
) -> tuple[NDArray[np.int64], LeftOut]:
    """The value of one draw, and those without each cluster, with their labels (c,)."""
    clusters = clusters_of(labels)
    if pairs.n - max(map(len, clusters)) < LEAST_LEFT:
        raise ValueError(f"it needs at least {LEAST_LEFT} samples besides each one")
    measure.debiased_of(pairs)  # which tells what is undefined
    kernels = measure.kernels(pairs)
    without = kernels.debiased_without(clusters).numpy()
    return np.unique(labels), LeftOut(kernels.debiased(), without)


def _deviation(measure: Measure, draws: Sequence[Several]) -> float | None:
    try:
        return float(np.std([draw.debiased(measure) for draw in draws], ddof=1))
    except ValueError:
        return None


def _shared(inversions: Inversions) -> list[str]:
    """A note where the interval does not cover the starts."""
    try:
        start = STARTS.build(inversions.engine["start"])
    except RequestError:
        return []
    if not start.shared:
        return []
    name = inversions.kind.name
    return [f"the interval is over {name}s, not over the start that they share"]


def _null(
    measure: OfPairs,
    pairs: Sequence[Any],
    samples: Sequence[NDArray[np.int64]],
    count: int,
    seed: int,
) -> Null:
    """Calibrate the mean over draws, by the same permutations of the samples in each."""
    every = np.unique(np.concatenate(samples))
    orders = list(permutations(len(every), count, seed))
    values = []
    for own, some in zip(pairs, samples, strict=True):
        ascending = np.argsort(some, kind="stable")
        there = np.searchsorted(every, some[ascending])
        places = [_in_place(ascending, restricted(order, there)) for order in orders]
        values.append(measure.permuted(own, places))
    observed = math.fsum(measure.of(own) for own in pairs) / len(pairs)
    found = calibrated(measure, observed, np.mean(values, axis=0), ALPHA)
    return Null(found.threshold, found.p, found.calibrated, count, ALPHA)


def _in_place(ascending: NDArray[np.int64], order: NDArray[np.int64]) -> NDArray[np.int64]:
    """An order of samples in ascending order as one of rows as they are."""
    found = np.empty_like(order)
    found[ascending] = ascending[order]
    return found
