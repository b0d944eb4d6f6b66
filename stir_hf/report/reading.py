"""A score in words, and the reasons for which it may say nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LOW_CEILING, LEAST_RANGE = 0.9, 0.5
"""A ceiling below the first, or above the floor by less than the second, says nothing."""
FEW, GOOD_CEILING = 0.5, 0.95
"""Below this share of converged inversions a score is doubted, but at a ceiling from here on."""
_SHARES = (
    (0.9, "nearly everything that"),
    (0.65, "most of what"),
    (0.35, "about half of what"),
    (0.1, "a small part of what"),
)


@dataclass(frozen=True)
class Reading:
    """The values by which a score is read: the debiased ones where there are any."""

    stir: float | None
    floor: float | None
    ceiling: float | None
    converged: float | None
    """Share of the inversions at or below the tolerance."""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Reading":
        """Read the values of `Score.flat` or of a published row; those that are missing are
        None.
        """
        end = "" if values.get("stir_debiased") is None else "_debiased"
        stir, floor, ceiling = (values.get(f"{name}{end}") for name in ("stir", "floor", "ceiling"))
        return cls(stir, floor, ceiling, values.get("converged"))

    @property
    def doubts(self) -> tuple[str, ...]:
        """The reasons not to believe it, in words; none for a score that can be read."""
        if self.stir is None:
            return ("the score is undefined",)
        found = []
        if self.ceiling is None or self.floor is None:
            found.append("it has no floor or no ceiling")
        elif self.ceiling < LOW_CEILING or self.ceiling - self.floor < LEAST_RANGE:
            found.append(f"the ceiling is {self.ceiling:.2f}: the inversions did not work")
        if self.floor is not None and self.floor >= self.stir:
            found.append("the score is not above the floor")
        good = self.ceiling is not None and self.ceiling >= GOOD_CEILING
        if self.converged is not None and self.converged < FEW and not good:
            found.append(f"{self.converged:.0%} of the inversions converged")
        return tuple(found)

    @property
    def share(self) -> float | None:
        """The place of the score between its floor (0) and its ceiling (1); None where that cannot
        be told.
        """
        if self.doubts or self.stir is None or self.floor is None or self.ceiling is None:
            return None
        return (self.stir - self.floor) / (self.ceiling - self.floor)

    def sentence(self, model: str, reference: str) -> str:
        """Return the score as one sentence.

        Args:
            model: what the judged model is called.
            reference: what the reference is called.
        """
        share = self.share
        if share is None:
            why = "; ".join(self.doubts)
            return f"How far {model} ignores what {reference} ignores cannot be told: {why}."
        words = next((words for least, words in _SHARES if share >= least), "hardly anything that")
        return (
            f"{model} scores {self.stir:.2f}, between a floor of {self.floor:.2f} and a ceiling of"
            f" {self.ceiling:.2f}: it ignores {words} {reference} ignores."
        )
