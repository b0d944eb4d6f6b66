"""A score in words, and the reasons for which it may say nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LOW_CEILING, LEAST_RANGE = 0.9, 0.5
"""A ceiling below the first (an error of about half the spread gives that, docs/methods.md), or
above the floor by less than the second, says nothing.
"""
FEW, GOOD_CEILING = 0.5, 0.95
"""Below this share of converged inversions a score is doubted, but at a ceiling from here on."""
_SHARES = (
    (0.9, "nearly everything that"),
    (0.65, "most of what"),
    (0.35, "about half of what"),
    (0.1, "a small part of what"),
)
_NAMES = ("stir", "floor", "ceiling")


@dataclass(frozen=True)
class Reading:
    """The values by which a score is read, which are debiased."""

    stir: float | None
    floor: float | None
    ceiling: float | None
    converged: float | None
    """Share of the inversions at or below the tolerance."""
    plain: tuple[float | None, float | None, float | None] = (None, None, None)
    """The same three under the plain measure."""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Reading":
        """Read the values of `Score.flat` or of a published row; those that are missing are
        None.
        """
        stir, floor, ceiling = (values.get(f"{name}_debiased") for name in _NAMES)
        plain = (values.get("stir"), values.get("floor"), values.get("ceiling"))
        return cls(stir, floor, ceiling, values.get("converged"), plain)

    @property
    def cautions(self) -> dict[str, str]:
        """The reasons not to believe it, by name, each in words: `floor`, `ceiling`, `converged`
        (not where the ceiling shows that the inversions worked) and `undefined`.
        """
        found = {}
        stir, floor, plain_ceiling = self.plain
        pairs = ((self.stir, self.floor), (stir, floor))
        if any(one is not None and low is not None and one <= low for one, low in pairs):
            found["floor"] = "the score is not above its floor"
        ceiling = plain_ceiling if self.ceiling is None else self.ceiling
        if ceiling is not None and ceiling < LOW_CEILING:
            low = f"the ceiling, {ceiling:.3f}, is below {LOW_CEILING:g}"
            found["ceiling"] = f"the inversions did not work, since {low}"
        elif self._range is not None and self._range < LEAST_RANGE:
            found["ceiling"] = f"the floor, {self.floor:.3f}, is near the ceiling, {ceiling:.3f}"
        good = ceiling is not None and ceiling >= GOOD_CEILING
        if self.converged is not None and self.converged < FEW and not good:
            found["converged"] = f"less than {FEW:.0%} of the inversions converged"
        if self.stir is None:
            found["undefined"] = "there is no debiased score"
        return found

    @property
    def doubts(self) -> tuple[str, ...]:
        """The reasons not to believe it, in words; none for a score that can be read."""
        return tuple(self.cautions.values())

    @property
    def between(self) -> float | None:
        """The place of the score between its floor (0) and its ceiling (1); None where these are
        too close, or one of the three is not known.
        """
        width = self._range
        if self.stir is None or self.floor is None or width is None or width < LEAST_RANGE:
            return None
        return (self.stir - self.floor) / width

    @property
    def _range(self) -> float | None:
        if self.floor is None or self.ceiling is None:
            return None
        return self.ceiling - self.floor

    @property
    def share(self) -> float | None:
        """`between` of a score that can be believed; None for others."""
        return None if self.doubts else self.between

    def sentence(self, model: str, reference: str) -> str:
        """Return the score as one sentence.

        Args:
            model: what the judged model is called.
            reference: what the reference is called.
        """
        share = self.share
        if share is None:
            why = "; ".join(self.doubts) or "it has no floor or no ceiling"
            return f"How far {model} ignores what {reference} ignores cannot be told: {why}."
        words = next((words for least, words in _SHARES if share >= least), "hardly anything that")
        return (
            f"{model} has a debiased score of {self.stir:.3f}, between a floor of {self.floor:.3f}"
            f" and a ceiling of {self.ceiling:.3f}: it ignores {words} {reference}"
            " ignores."
        )
