"""The protocol of update rules."""

import math
from typing import ClassVar, Protocol, runtime_checkable

from torch import Tensor

from stir_hf.engine.domain import Domain
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
    needs_space: ClassVar[bool] = False
    """True if it filters along axes of space."""
    needs_least: ClassVar[bool] = False
    """True if it needs an objective whose least value is known to be 0."""
    default_restarts: ClassVar[str] = "stalled"
    """The default restarts."""
    default_steps: ClassVar[int]
    """The default maximum number of passes per row."""
    default_start: ClassVar[str]
    """The default start."""

    @property
    def keeps_last(self) -> bool:
        """True if the last iterate is kept instead of the best."""
        return False

    @property
    def straight(self) -> bool:
        """True if the gradient passes the last ReLU as if it were the identity."""
        return False

    def begin(self, x: Tensor, passes: int) -> State:
        """Return the state at the first unknowns (b, …), of rows that take at most `passes`."""

    def step(
        self,
        x: Tensor,
        error: Tensor,
        gradient: Tensor,
        state: State,
        domain: Domain,
        centre: Tensor | None,
    ) -> Tensor:
        """Return the next unknowns as a new tensor, not yet projected; x is not changed.

        Args:
            x: the unknowns (b, …).
            error: the objective at x (b,).
            gradient: the gradient of `error`, (b, …).
            state: the state from `begin`, updated in place.
            domain: the constraint's effect on a gradient, and the axes of space.
            centre: what the constraint is around (b, …), or None.
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
