"""The lines of a leaderboard: the score of one network each, and the reasons to doubt it."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from stir_hf.report.reading import FEW, FEWEST, GOOD_CEILING, LEAST_RANGE, LOW_CEILING, Reading

DIFFERENT = 0.08
"""A difference between scores of one network that is marked on a board; less may be noise
(README.md).
"""


@dataclass(frozen=True)
class Line:
    """The score of one network; None where a value is undefined or not reported."""

    model: str
    """The current id on the Hub; for a local network the name in its score."""
    revision: str | None
    """The commit, 40 hexadecimal digits; None for a network that is local or only reported."""
    network_id: str | None
    """16 hexadecimal digits of the network's identity."""
    stir: float | None
    similarity: float | None
    floor: float | None
    ceiling: float | None
    stir_debiased: float | None
    similarity_debiased: float | None
    floor_debiased: float | None
    ceiling_debiased: float | None
    relative_error: float | None
    """The median relative error of the inversions."""
    converged: float | None
    """Share of the inversions at or below the tolerance."""
    method: str | None
    source: str
    """The file of this repo, or the file `.eval_results/…` of the model's own repo."""
    num_samples: int | None = None
    reported: bool = False
    """True for a score that the model's owner reports and that no file of this repo holds."""
    also: tuple[str, ...] = ()
    """The places of this network's other scores, which are not shown."""
    spread: float = 0.0
    """The difference between the largest and the smallest STIR of this network."""
    notes: tuple[str, ...] = ()
    measure_least: float | None = None
    """The scale of the measure: its least value, None where there is none."""
    measure_most: float | None = None
    measure_closer: str | None = None
    """`larger` or `smaller`: the values of closer networks; None for a similarity in [0, 1]."""

    @property
    def between(self) -> float | None:
        """Return the place of the score between its floor (0) and its ceiling (1); None where these
        are close or not known (`Reading.between`).
        """
        return Reading.of(vars(self)).between

    @property
    def marks(self) -> tuple[str, ...]:
        """Return the names of the reasons for caution, keys of `MARKS`."""
        own = {"several": self.spread > DIFFERENT, "reported": self.reported}
        return *Reading.of(vars(self)).cautions, *(name for name, holds in own.items() if holds)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, with `between` and `marks`."""
        return {**asdict(self), "between": self.between, "marks": list(self.marks)}


MARKS = {
    "floor": ("†", "the score is not above its floor: nothing shared can be told from it"),
    "ceiling": (
        "‡",
        f"the debiased ceiling is below {LOW_CEILING:g}: the inversions are too far off for a low"
        " score to mean much",
    ),
    "range": (
        "~",
        f"the debiased ceiling is less than {LEAST_RANGE:g} above the floor, so little room is"
        " left for the score between them",
    ),
    "converged": (
        "§",
        f"fewer than {FEW:.0%} of the inversions came as close as was asked for, and no debiased"
        f" ceiling of {GOOD_CEILING:g} or more shows that they are close enough",
    ),
    "few": ("#", f"fewer than {FEWEST} samples, with which chance alone moves a score far"),
    "undefined": ("?", "there is no debiased value, so the score has no place in the order"),
    "several": (
        "≠",
        f"there are several scores of this network, which differ by more than {DIFFERENT:g}; the"
        " most complete one is shown",
    ),
    "reported": (
        "°",
        "reported in the model's own repo, by its owner or as a proposal there; not checked here",
    ),
}
"""The reasons for caution: the mark behind a model's name, and the line that explains it."""


def ranked(lines: Iterable[Line]) -> tuple[Line, ...]:
    """Return the lines by their debiased score, the closest network first; below them those that
    have none, by STIR.
    """
    return tuple(sorted(lines, key=lambda line: (*Reading.of(vars(line)).order, line.model)))
