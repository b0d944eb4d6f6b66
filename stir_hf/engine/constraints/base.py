"""The protocol of constraints, and the domain of a descent."""

from dataclasses import dataclass
from typing import ClassVar, Protocol

from torch import Tensor

from stir_hf.registry import Registry


class Constraint(Protocol):
    """A set in which iterates must lie."""

    uses_origin: ClassVar[bool]
    """True if the set depends on the original, which is then passed to `project`."""

    def project(self, x: Tensor, origin: Tensor | None) -> Tensor:
        """Return the points of the set nearest to x (b, …), which may be changed in place.

        `origin` (b, …) is not changed; it is None if it is not used.
        """

    def free(self, x: Tensor, gradient: Tensor) -> Tensor:
        """Return the gradient, with zeros where a step against it from x, a point of the set, would
        leave the set; the arguments are not changed.
        """


@dataclass(frozen=True)
class Domain:
    """The constraint of a descent and the axes of its tensors."""

    constraint: Constraint
    space: tuple[int, ...] = ()
    """The axes of one row that are space or time; 0 is the first axis after the batch axis."""

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes of space in tensors (b, …)."""
        return tuple(axis + 1 for axis in self.space)

    def free(self, x: Tensor, gradient: Tensor) -> Tensor:
        """A gradient (b, …), zero where the constraint blocks a step against it."""
        return self.constraint.free(x, gradient)


CONSTRAINTS: Registry[Constraint] = Registry("constraint")
