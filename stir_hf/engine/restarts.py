"""Restarts: further starts of rows that are not good enough."""

from dataclasses import dataclass
from typing import Any

from stir_hf.errors import RequestError, as_count

STALLED = "stalled"
EVERY = 50
"""Number of passes of a row between two looks at whether it stalls; a multiple of how often errors
are read.
"""
STUCK, GAIN = 0.2, 0.99
"""A row stalls if its least error is above `STUCK` and has not fallen below `GAIN` of what it was
50 passes before: dead units and saturated pixels have no gradient, or hardly any.
"""


@dataclass(frozen=True)
class Restarts:
    """How often a row may start anew; the best iterate of all its starts is kept."""

    starts: int = 1
    """The largest number of starts of a row."""
    when_stalled: bool = False
    """True to start anew only where a row stalls; False to do so wherever a row used up its passes
    without a sufficient error.
    """

    @classmethod
    def parse(cls, given: Any) -> "Restarts":
        """Read the number of starts, or `stalled`.

        Raises:
            RequestError: anything else.
        """
        if given == STALLED:
            return cls(2, when_stalled=True)
        number = int(given) if isinstance(given, str) and given.isdecimal() else given
        try:
            return cls(as_count("restarts", number, 1))
        except RequestError:
            raise RequestError(
                f"restarts must be a number of starts from 1 on, or {STALLED}, not {given!r}"
            ) from None

    @property
    def plain(self) -> int | str:
        """As a user gives it, and as an identity spells it."""
        return STALLED if self.when_stalled else self.starts

    def stalls(self, least: float, before: float) -> bool:
        """Return whether a row stalls with these least errors, now and 50 passes before."""
        return self.when_stalled and least > STUCK and least > GAIN * before
