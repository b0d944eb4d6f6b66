"""The protocol of constraints."""

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


CONSTRAINTS: Registry[Constraint] = Registry("constraint")
