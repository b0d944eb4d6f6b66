"""Several measures at once, over one accumulator of pairs of rows."""

from collections.abc import Callable, Sequence
from typing import Any, Self

from stir_hf.similarity.measure import Accumulator, Adopting, Measure
from stir_hf.similarity.pairs import Pairs
from stir_hf.similarity.shared import OfPairs


class Several:
    """Sees pairs of rows for several measures: those of this package share the rows, others have
    accumulators of their own.

    Args:
        measures: the measures.
        keep: keep all rows, for intervals and nulls.
    """

    def __init__(self, measures: Sequence[Measure], *, keep: bool = False) -> None:
        shared = [one for one in measures if isinstance(one, OfPairs)]
        self.pairs = Pairs(keep=keep or any(one.needs_rows for one in shared))
        self._shares = bool(shared)
        self._own: dict[Measure, Accumulator] = {
            one: one.accumulator() for one in measures if not isinstance(one, OfPairs)
        }

    @property
    def n(self) -> int:
        """The number of pairs of rows seen."""
        return next((one.n for one in self._accumulators), 0)

    @property
    def _accumulators(self) -> list[Accumulator]:
        shared: list[Any] = [self.pairs] if self._shares else []
        return [*shared, *self._own.values()]

    def update(self, x: Any, y: Any) -> None:
        """Add b rows: x of shape (b, d), y of shape (b, e)."""
        for one in self._accumulators:
            one.update(x, y)

    def adopt(self, x: Any, y: Any) -> None:
        """Add b rows, which nobody changes any more; see `Adopting`."""
        for one in self._accumulators:
            (one.adopt if isinstance(one, Adopting) else one.update)(x, y)

    def merge(self, other: Self) -> None:
        """Add the rows that `other` has seen; `other` stays as it is."""
        for one, theirs in zip(self._accumulators, other._accumulators, strict=True):
            one.merge(theirs)

    def value(self, measure: Measure) -> float:
        """Return the value of a measure; raises as its accumulator."""
        return self._of(measure, "of", "value")

    def debiased(self, measure: Measure) -> float:
        """Return the debiased value of a measure; raises as its accumulator."""
        return self._of(measure, "debiased_of", "debiased")

    def _of(self, measure: Measure, shared: str, own: str) -> float:
        found: Callable[..., float]
        if isinstance(measure, OfPairs):
            found = getattr(measure, shared)
            return found(self.pairs)
        found = getattr(self._own[measure], own)
        return found()
