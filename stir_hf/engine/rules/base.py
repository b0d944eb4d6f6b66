"""What an update rule is."""

import math
from collections.abc import Callable
from typing import ClassVar, Protocol

from torch import Tensor

from stir_hf.errors import RequestError
from stir_hf.registry import Registry

State = dict[str, Tensor]
"""What a rule remembers: tensors whose first axis is the image."""

Free = Callable[[Tensor, Tensor], Tensor]
"""From x and a gradient, both (b, …): the gradient, zero where a step against it is blocked by the
constraint.
"""


class Rule(Protocol):
    """How one step is taken from (x, error, gradient). It has no state of its own."""

    stops: ClassVar[bool]
    """Whether an image is finished when its error reaches the tolerance."""
    projects_start: ClassVar[bool]
    """Whether the start is projected onto the constraint before its first pass."""
    default_steps: ClassVar[int]
    """The most passes per image, unless told otherwise."""
    default_start: ClassVar[str]
    """Where the descent begins, unless told otherwise."""

    def begin(self, x: Tensor) -> State:
        """The state at first iterates (b, …)."""

    def step(self, x: Tensor, error: Tensor, gradient: Tensor, state: State, free: Free) -> Tensor:
        """The next iterate, not yet projected: a new tensor, as x stays what it is.

        Args:
            x: the iterate (b, …).
            error: the objective at x (b,), whose least value is 0.
            gradient: that of `error`, (b, …).
            state: as `begin` made it; updated in place.
            free: what the constraint leaves of a gradient.
        """


RULES: Registry[Rule] = Registry("method")


def check_number(
    part: str, name: str, value: float, *, above: float | None = None, below: float = math.inf
) -> None:
    """Raise RequestError unless a rule's option is at least 0 (or above a bound) and below
    another.
    """
    enough = value >= 0 if above is None else value > above
    if not (enough and value < below):
        least = "at least 0" if above is None else f"above {above:g}"
        most = "finite" if below == math.inf else f"below {below:g}"
        raise RequestError(
            f"option {name!r} of method {part!r} must be {least} and {most}, not {value!r}"
        )
