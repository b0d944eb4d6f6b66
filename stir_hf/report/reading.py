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
_SHARES = (
    (0.9, "nearly everything that"),
    (0.65, "most of what"),
    (0.35, "about half of what"),
    (0.1, "a small part of what"),
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

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Reading":
        """Read a published row, or some of its columns; those that are missing are None."""
        scale = Scale.of(values)
        stir, floor, ceiling = (values.get(f"{name}_debiased") for name in _NAMES)
        plain = (values.get("stir"), values.get("floor"), values.get("ceiling"))
        if not scale.is_share and stir is floor is ceiling is None:
            stir, floor, ceiling = plain
        return cls(stir, floor, ceiling, values.get("converged"), plain, scale)

    @property
    def cautions(self) -> dict[str, str]:
        """Return the reasons to doubt the score, by name, each in words: `floor`, `ceiling`,
        `converged` (not where the ceiling shows that the inversions worked) and `undefined`.
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
                found["ceiling"] = near
        if self.converged is not None and self.converged < FEW and not good:
            found["converged"] = f"less than {FEW:.0%} of the inversions converged"
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
    def share(self) -> float | None:
        """Return `between` for a score without doubts, None for others."""
        return None if self.doubts else self.between

    def sentence(self, model: str, reference: str) -> str:
        """Return the score as one sentence, with these names of the two networks."""
        share = self.share
        if share is None:
            missing = self.floor is None or self.ceiling is None
            reason = "it has no floor or no ceiling" if missing else "its ceiling is at its floor"
            why = "; ".join(self.doubts) or reason
            return f"How far {model} ignores what {reference} ignores cannot be told: {why}."
        words = next((words for least, words in _SHARES if share >= least), "hardly anything that")
        name = "score" if self.is_plain else "debiased score"
        return (
            f"{model} has a {name} of {self.stir:.3f}, between a floor of {self.floor:.3f} and a"
            f" ceiling of {self.ceiling:.3f}: it ignores {words} {reference} ignores."
        )
