"""A score in words, and the reasons not to believe it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

from stir_hf.results import Scale

LOW_CEILING, LEAST_RANGE = 0.9, 0.5
"""The least ceiling, and the least distance from floor to ceiling, of a score that can be read, for
a similarity in [0, 1]. An error of about half the spread gives that ceiling (docs/methods.md).
"""
FEW, GOOD_CEILING = 0.5, 0.95
"""A score is doubted below this share of converged inversions, unless the ceiling of a similarity
in [0, 1] reaches the second value.
"""
FEWEST = 16
"""The least number of samples of a score that is put into words."""
INTERVAL = "95% interval over samples and their starts"
"""The meaning of the brackets behind a score, at the usual level."""
_SHARES = (
    (0.9, "nearly everything", "that"),
    (0.65, "most", "of what"),
    (0.35, "about half", "of what"),
    (0.1, "a small part", "of what"),
    (-inf, "hardly anything", "that"),
)
_NAMES = ("stir", "floor", "ceiling")


def columns(rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the columns by which scores under one measure are read: score, floor and ceiling."""
    plain = all(Reading.of(row).is_plain for row in rows)
    return _NAMES if plain else tuple(f"{name}_debiased" for name in _NAMES)


@dataclass(frozen=True)
class Reading:
    """The values by which a score is read. They are debiased; plain where the measure is no
    similarity in [0, 1] and has no debiased form.
    """

    stir: float | None
    floor: float | None
    ceiling: float | None
    converged: float | None
    """The share of inversions at or below the tolerance."""
    plain: tuple[float | None, float | None, float | None] = (None, None, None)
    """The same three under the plain measure."""
    scale: Scale = field(default=Scale())
    num_samples: int | None = None
    interval: tuple[float, float] | None = None
    """The interval of the score over samples and their starts; None where it is not known."""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Reading":
        """Read a published row, or some of its columns; those that are missing are None."""
        scale = Scale.of(values)
        stir, floor, ceiling = (values.get(f"{name}_debiased") for name in _NAMES)
        plain = (values.get("stir"), values.get("floor"), values.get("ceiling"))
        if not scale.is_share and stir is floor is ceiling is None:
            stir, floor, ceiling = plain
        of_what = (values.get("converged"), plain, scale, values.get("num_samples"))
        low, high = values.get("interval_low"), values.get("interval_high")
        interval = None if low is None or high is None else (low, high)
        return cls(stir, floor, ceiling, *of_what, interval)

    @property
    def cautions(self) -> dict[str, str]:
        """Return the reasons to doubt the score, by name, each in words: `floor`, `ceiling`,
        `range`, `converged` (not where the ceiling shows that the inversions worked), `few` and
        `undefined`.
        """
        found, good = {}, False
        stir, floor, plain_ceiling = self.plain
        if not (self._above(self.stir, self.floor) and self._above(stir, floor)):
            side = "above" if self.scale.closer == "larger" else "below"
            found["floor"] = f"the score is not {side} its floor"
        ceiling = plain_ceiling if self.ceiling is None else self.ceiling
        if self.scale.is_share and ceiling is not None:
            good = ceiling >= GOOD_CEILING
            if ceiling < LOW_CEILING:
                low = f"the ceiling, {ceiling:.3f}, is below {LOW_CEILING:g}"
                found["ceiling"] = f"the inversions did not work, since {low}"
            elif self._range is not None and self._range < LEAST_RANGE:
                near = f"the floor, {self.floor:.3f}, is near the ceiling, {ceiling:.3f}"
                found["range"] = near
        if self.converged is not None and self.converged < FEW and not good:
            found["converged"] = f"less than {FEW:.0%} of the inversions converged"
        if self.scale.is_share and self.num_samples is not None and self.num_samples < FEWEST:
            found["few"] = f"there are fewer than {FEWEST} samples"
        if self.stir is None:
            found["undefined"] = f"there is no {'' if self.is_plain else 'debiased '}score"
        return found

    def _above(self, one: float | None, floor: float | None) -> bool:
        """Tell whether a value shows closer networks than its floor, as far as both are known."""
        if one is None or floor is None:
            return True
        return self.scale.closeness(one) > self.scale.closeness(floor)

    @property
    def doubts(self) -> tuple[str, ...]:
        """Return the reasons to doubt the score, in words; none for a score that can be read."""
        return tuple(self.cautions.values())

    @property
    def order(self) -> tuple[bool, float, float]:
        """Return the sort key of a table: the closest network comes first; scores without a
        comparable value come last, ordered by their plain value.
        """
        shown, plain = (
            inf if one is None else -self.scale.closeness(one) for one in (self.stir, self.plain[0])
        )
        return self.stir is None, shown, plain

    @property
    def between(self) -> float | None:
        """Return the place of the score between its floor (0) and its ceiling (1); None where these
        are too close, or one of the three is not known.
        """
        width = self._range
        if self.stir is None or self.floor is None or width is None:
            return None
        if width <= 0 or (self.scale.is_share and width < LEAST_RANGE):
            return None
        return (self.scale.closeness(self.stir) - self.scale.closeness(self.floor)) / width

    @property
    def _range(self) -> float | None:
        if self.floor is None or self.ceiling is None:
            return None
        return self.scale.closeness(self.ceiling) - self.scale.closeness(self.floor)

    @property
    def is_plain(self) -> bool:
        """Tell whether the score is read by its plain values."""
        return not self.scale.is_share and (self.stir, self.floor, self.ceiling) == self.plain

    @property
    def blocked(self) -> tuple[str, ...]:
        """Return the reasons why the score cannot be put into words: all doubts, but for a score at
        its floor, which says that nothing is shared.
        """
        return tuple(why for name, why in self.cautions.items() if name != "floor")

    @property
    def share(self) -> float | None:
        """Return `between` for a score that can be put into words, None for others."""
        return None if self.blocked else self.between

    @property
    def places(self) -> tuple[float, float] | None:
        """Return the lower and upper end of `share`, at those of the interval; None where they are
        not known.
        """
        width = self._range
        if self.share is None or self.interval is None or self.floor is None or not width:
            return None
        low, high = ((end - self.floor) / width for end in self.interval)
        return low, high

    def sentence(self, model: str, reference: str) -> str:
        """Return the score as one sentence, with these names of the two networks: the number, and
        words that hold for all values within its interval.
        """
        name = "" if self.is_plain else "debiased; "
        ends = ((kind, getattr(self, kind)) for kind in ("floor", "ceiling"))
        told = ", ".join(f"no {k}" if value is None else f"{k} {value:.2f}" for k, value in ends)
        score = "No score" if self.stir is None else f"{self.stir:.2f}"
        places, share = self.places, self.share
        if places is not None:
            words = _words(*places)
            begin = f"{score} {bracketed(self.interval)} ({name}{told})"
            return f"{begin}: {model} ignores {words} {reference} ignores."
        begin = f"{score} ({name}{told})"
        if share is not None:
            return (
                f"{begin}: what {model} ignores of what {reference} ignores lies {share:.0%} of the"
                " way from the floor to the ceiling; it has no interval."
            )
        missing = self.floor is None or self.ceiling is None
        reason = "it has no floor or no ceiling" if missing else "its ceiling is at its floor"
        why = "; ".join(self.blocked) or reason
        samples = f" from these {self.num_samples} samples" if self.num_samples else ""
        return (
            f"{begin}: how far {model} ignores what {reference} ignores cannot be told{samples}:"
            f" {why}."
        )


def bracketed(interval: tuple[float, float] | None) -> str:
    """Return an interval as text, such as [0.31, 0.42]; nothing for None."""
    return "" if interval is None else f"[{interval[0]:.2f}, {interval[1]:.2f}]"


def _words(low: float, high: float) -> str:
    """Return words for all places from `low` to `high`."""
    ends = (
        next((words, join) for least, words, join in _SHARES if place >= least)
        for place in (low, high)
    )
    (first, _), (last, join) = ends
    return f"{last} {join}" if first == last else f"between {first} and {last} {join}"
