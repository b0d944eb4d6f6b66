"""The protocol of constraints."""

from typing import ClassVar, Protocol

from torch import Tensor

from stir_hf.registry import Registry


class Constraint(Protocol):
    """A set in which iterates must lie."""

    uses_origin: ClassVar[bool]
    """True if the set depends on the original, which `project` then gets."""

    def project(self, x: Tensor, origin: Tensor | None) -> Tensor:
        """The points of the set nearest to x (b, …), which is given away: it may be changed and
        returned.

        `origin` (b, …) stays as it is; None where it is not used.
        """

    def free(self, x: Tensor, gradient: Tensor) -> Tensor:
        """The gradient, but zero where a step against it from x, a point of the set, is blocked;
        both stay as they are.
        """


CONSTRAINTS: Registry[Constraint] = Registry("constraint")
