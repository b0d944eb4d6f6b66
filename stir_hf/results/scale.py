"""The range of a measure's values, and the direction in which two networks are closer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Closer = Literal["larger", "smaller"]


@dataclass(frozen=True)
class Scale:
    """The scale of a measure; by default that of a similarity in [0, 1]."""

    least: float | None = 0.0
    """The least value; None where there is none."""
    most: float | None = 1.0
    """The largest value; None where there is none."""
    closer: Closer = "larger"
    """The values of networks that are closer: `larger` of a similarity, `smaller` of a distance."""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Scale":
        """Read the scale of a published row; the default where the row does not say it."""
        closer = values.get("measure_closer")
        if closer is None:
            return cls()
        return cls(values.get("measure_least"), values.get("measure_most"), closer)

    @property
    def is_share(self) -> bool:
        """Tell whether this is the scale of a similarity in [0, 1]."""
        return self == Scale()

    def closeness(self, value: float) -> float:
        """Return a number that is larger for closer networks."""
        return value if self.closer == "larger" else -value

    def told(self, measure: str) -> str:
        """Return the name of the measure, and the direction where it is not the usual one."""
        return measure if self.closer == "larger" else f"{measure}, where smaller is closer"
