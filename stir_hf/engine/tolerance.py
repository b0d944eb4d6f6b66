"""The tolerance of an inversion."""

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any

from stir_hf.errors import RequestError

OF_SPREAD = "spread:"

LOOSE = 0.1
"""Share of the spread above which a tolerance gets a warning. On linear maps with a bias, where a
rotation must score 1, errors of 0.1 of the spread lowered the debiased score by at most 0.006, of
0.2 by 0.02 and of 0.6 by 0.16 (docs/methods.md); 0.02 of the length is 0.025 of the spread for the
embedded networks.
"""

ADVISED = f"{OF_SPREAD}0.05"


@dataclass(frozen=True)
class Tolerance:
    """The largest error ‖f(x') - f(x)‖ that is good enough: over the length ‖f(x)‖ of the
    original's representation, or over the spread of all originals' representations.
    """

    value: float
    of_spread: bool = False

    @classmethod
    def parse(cls, given: Any) -> "Tolerance":
        """Read a tolerance from a number, or from `spread:` and a number.

        Raises:
            RequestError: anything else, or a number that is not positive and finite.
        """
        of_spread = isinstance(given, str) and given.startswith(OF_SPREAD)
        value = _number(given.removeprefix(OF_SPREAD)) if of_spread else given
        number = float(value) if isinstance(value, Real) and not isinstance(given, bool) else 0.0
        if math.isfinite(number) and number > 0:
            return cls(number, of_spread)
        raise RequestError(
            "tolerance must be a positive number or spread:X, such as 0.02 or spread:0.05, not"
            f" {given!r}"
        )

    @property
    def plain(self) -> float | str:
        """The tolerance as a user gives it, and as an identity spells it."""
        return f"{OF_SPREAD}{self.value!r}" if self.of_spread else self.value

    def limit(self, length: float, spread: float | None) -> float:
        """The largest sufficient relative error for an original whose representation has this
        length; `spread` is needed for a tolerance relative to it.
        """
        if not self.of_spread:
            return self.value
        if spread is None:
            raise ValueError("a tolerance of the spread needs the spread")
        return self.value * spread / length if length else self.value

    def share(self, length: float, spread: float, measured: float | None = None) -> float:
        """The tolerance relative to a spread, for an original whose representation has this length;
        `measured` is the spread to which the tolerance itself is relative, if that is another.
        """
        if not self.of_spread:
            return self.value * length / spread
        return self.value * (measured or spread) / spread

    def warning(self, mean: float, spread: float, measured: float | None = None) -> str | None:
        """A warning with advice, if the tolerance is loose for representations of this spread whose
        mean has the length `mean`; otherwise None. `measured` as in `share`.
        """
        share = self.share(math.hypot(mean, spread), spread, measured)
        if share <= LOOSE:
            return None
        same = self.of_spread and measured in (None, spread)
        equal = "" if same else f" is {share:.2g} of the spread"
        return (
            f"a tolerance of {self}{equal} of the representations (the length of their mean is"
            f" {mean / spread:.3g} of it): inputs count as converged with more than {LOOSE:g} of"
            f" that left; a tolerance of {ADVISED} leaves less"
        )

    def __str__(self) -> str:
        return f"{self.value:g} of the spread" if self.of_spread else f"{self.value:g}"


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
