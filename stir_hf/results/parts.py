"""The parts of a score: its anchors, its errors, its interval and its null."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

ANCHORS = ("stir", "similarity", "floor", "ceiling")
ERRORS = ("median", "mean", "p95")
_Data = TypeVar("_Data")


def known_fields(cls: type[_Data], data: Mapping[str, Any], **changed: Any) -> _Data:
    """Return a dataclass from a dictionary; fields of later versions are ignored."""
    names = {f.name for f in fields(cls)}  # type: ignore[arg-type]
    return cls(**{name: value for name, value in {**data, **changed}.items() if name in names})


@dataclass(frozen=True)
class Anchors:
    """One score and its anchors under one measure; None where a value is undefined (see
    `Score.notes`).
    """

    stir: float | None
    """S(model(X), model(X')), X' the reference's inversions."""
    similarity: float | None
    """S(reference(X), model(X))."""
    floor: float | None
    """S(model(X), model(X⁰)), X⁰ the starts: the score of no inversion at all."""
    ceiling: float | None
    """S(reference(X), reference(X')): the reference on its own inversions."""


@dataclass(frozen=True)
class Accepted(Anchors):
    """The scores of the accepted inversions alone, and the conditions of acceptance; see
    `stir_hf.scoring.acceptance`.
    """

    debiased: Anchors | None
    """The same four under the debiased measure; None for a measure that has no such form."""
    num_samples: int
    """The number of samples with an accepted inversion."""
    share: float
    """The share of the inversions that are accepted."""
    spearman: float
    """The threshold of Spearman's ρ: the largest of random pairs of originals."""
    pearson: float
    """The threshold of Pearson's r, likewise."""
    snr: float
    """The threshold of 10 log₁₀(‖a‖ / ‖a - b‖) in dB, likewise."""
    by_class: bool
    """True if an accepted inversion keeps the class of its original; False where the reference has
    no logits of classes.
    """

    @property
    def stir_debiased(self) -> float | None:
        """Return `debiased.stir`, which is published with the plain values."""
        return None if self.debiased is None else self.debiased.stir

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return it from plain data."""
        debiased = data.get("debiased")
        return known_fields(
            cls, data, debiased=None if debiased is None else known_fields(Anchors, debiased)
        )


@dataclass(frozen=True)
class _Errors:
    """Errors of the stored inputs, without unit; 0 is exact."""

    median: float
    mean: float
    p95: float
    """The 95th percentile."""

    @classmethod
    def of(cls, errors: "NDArray[np.floating[Any]]") -> Self:
        """Summarise the errors of at least one inversion, (n,)."""
        errors = errors.astype(np.float64)  # a sum of float32 may be infinite
        median, p95 = (float(np.quantile(errors, q)) for q in (0.5, 0.95))
        return cls(median, float(errors.mean()), p95)


class RelativeError(_Errors):
    """‖reference(x') - reference(x)‖ / ‖reference(x)‖ of the stored inputs: 0 is exact, no unit."""


class SpreadError(_Errors):
    """‖reference(x') - reference(x)‖ of the stored inputs over the spread: the root mean square
    distance of the representations reference(x) from their mean. 0 is exact; 1, as far off as the
    mean of all samples.
    """


class Interval(NamedTuple):
    """An interval of a debiased score, by the jackknife over samples; see
    `stir_hf.similarity.jackknife`.
    """

    low: float
    high: float


@dataclass(frozen=True)
class Null:
    """STIR beside the values of permuted inversions; see `stir_hf.similarity.null`."""

    threshold: float
    """The value that unrelated rows exceed with a probability of `alpha`."""
    p: float
    """The share of the values, permuted or observed, that are at least as close as STIR."""
    calibrated: float
    """(STIR - threshold) / (1 - threshold), at least 0; 1 of equal representations."""
    permutations: int
    """The number of permutations."""
    alpha: float
    """The share of unrelated rows above the threshold."""
