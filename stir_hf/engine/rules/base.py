"""The protocol of update rules."""

import math
from typing import ClassVar, Protocol, runtime_checkable

from torch import Tensor

from stir_hf.engine.constraints import Domain
from stir_hf.errors import RequestError
from stir_hf.registry import Registry

State = dict[str, Tensor]
"""State of a rule between passes: tensors whose first axis is the row."""


class Rule(Protocol):
    """One step of the descent, from (x, error, gradient). A rule has no state of its own."""

    stops: ClassVar[bool]
    """True if a row is finished when its error reaches the tolerance."""
    projects_start: ClassVar[bool]
    """True if the start is projected onto the constraint before its first pass."""
    needs_space: ClassVar[bool]
    """True if it filters along axes of space."""
    default_steps: ClassVar[int]
    """The default maximum number of passes per row."""
    default_start: ClassVar[str]
    """The default start."""

    def begin(self, x: Tensor) -> State:
        """Return the state at the first iterates (b, …)."""

    def step(
        self, x: Tensor, error: Tensor, gradient: Tensor, state: State, domain: Domain
    ) -> Tensor:
        """Return the next iterate as a new tensor, not yet projected; x is not changed.

        Args:
            x: the iterate (b, …).
            error: the objective at x (b,), whose least value is 0.
            gradient: the gradient of `error`, (b, …).
            state: the state from `begin`, updated in place.
            domain: the constraint's effect on a gradient, and the axes of space.
        """


@runtime_checkable
class Accepting(Protocol):
    """A rule whose inversions are accepted or not, beside what a `Rule` has."""

    pairs: int
    """Number of random pairs of originals that an accepted inversion must surpass."""


RULES: Registry[Rule] = Registry("method")


def check_number(
    part: str, name: str, value: float, *, above: float | None = None, below: float = math.inf
) -> None:
    """Raise RequestError unless an option is at least 0 (or above a bound) and below another."""
    enough = value >= 0 if above is None else value > above
    if not (enough and value < below):
        least = "at least 0" if above is None else f"above {above:g}"
        most = "finite" if below == math.inf else f"below {below:g}"
        raise RequestError(
            f"option {name!r} of method {part!r} must be {least} and {most}, not {value!r}"
        )
