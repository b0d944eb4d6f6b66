"""The protocol of measures of similarity, and their registry.

A measure is a frozen dataclass whose fields are its options; it makes accumulators, which see the
rows in batches:

    @MEASURES.add("mine")
    @dataclass(frozen=True)
    class Mine:
        "One line of help."

        least_rows: ClassVar[int] = 4
        has_debiased: ClassVar[bool] = False
        bounds: ClassVar[Bounds] = (0.0, 1.0)
        closer: ClassVar[Closer] = "larger"

        def accumulator(self) -> MyAccumulator:
            return MyAccumulator()
"""

from typing import Any, ClassVar, Literal, Protocol, Self, runtime_checkable

from stir_hf.registry import Registry

Bounds = tuple[float | None, float | None]
Closer = Literal["larger", "smaller"]


class ConstantError(ValueError):
    """All rows of one side, "x" or "y", are the same, so the measure is undefined."""

    def __init__(self, side: Literal["x", "y"]) -> None:
        super().__init__(side)
        self.side = side

    def __str__(self) -> str:
        return f"all rows of {self.side} are the same (a constant representation)"


@runtime_checkable
class Accumulator(Protocol):
    """Sees pairs of rows in batches, merges with others of its kind, and says how similar the
    sides are.

    Its value does not depend on how the rows were cut into batches, nor on their order. It pickles.
    """

    @property
    def n(self) -> int:
        """The number of pairs of rows seen."""

    def update(self, x: Any, y: Any) -> None:
        """Add b rows: x of shape (b, d), y of shape (b, e), arrays or tensors of any device."""

    def merge(self, other: Self) -> None:
        """Add the rows that `other` has seen; `other` stays as it is."""

    def value(self) -> float:
        """Return the value of the measure, within its bounds.

        Raises:
            ValueError: it is undefined for these rows; `ConstantError` if a side is constant.
        """

    def debiased(self) -> float:
        """Return the debiased value; called only for a measure that has one.

        Raises:
            ValueError: as `value`.
        """


@runtime_checkable
class Adopting(Protocol):
    """An accumulator that keeps rows, and can share them with others."""

    def adopt(self, x: Any, y: Any) -> None:
        """Add b rows as `update` does, kept as they are: nobody changes them any more."""


@runtime_checkable
class Measure(Protocol):
    """A named measure with its options."""

    @property
    def least_rows(self) -> int:
        """The least number of rows for which its value, and its debiased form if it has one, are
        defined.
        """

    has_debiased: ClassVar[bool]
    bounds: ClassVar[Bounds]
    """The least and the largest value; None where there is none."""
    closer: ClassVar[Closer]
    """The values of networks that are closer: `larger` of a similarity, `smaller` of a distance."""

    def accumulator(self) -> Accumulator:
        """A new accumulator that has seen no rows."""


MEASURES: Registry[Measure] = Registry("measure")
