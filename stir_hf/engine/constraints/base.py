"""The protocol of constraints."""

from typing import ClassVar, Literal, Protocol

from torch import Tensor

from stir_hf.registry import Registry

Around = Literal["start", "original"]


class Constraint(Protocol):
    """A set in which inputs must lie, and the coordinates in which the descent moves: by default
    the inputs themselves.
    """

    @property
    def around(self) -> Around | None:
        """What the set is around, which is then passed as `centre`; None for a fixed set."""
        return None

    within_bounds: ClassVar[bool] = False
    """True if the set is cut with the bounds of the kind of input."""
    unbounded: ClassVar[bool] = False
    """True if an input may exceed the bounds of its kind, so that storing it changes it."""
    needs_space: ClassVar[bool] = False
    """True if it uses the axes of space."""
    other_coordinates: ClassVar[bool] = False
    """True if the unknowns are not the inputs, so that a rule cannot filter them along space."""

    def project(self, x: Tensor, centre: Tensor | None) -> Tensor:
        """Return points of the set near the unknowns x (b, …), which may be changed in place.

        `centre` (b, …) is not changed; it is None if the set is around nothing.
        """

    def free(self, x: Tensor, gradient: Tensor, centre: Tensor | None) -> Tensor:
        """Return the gradient, with zeros where a step against it from x, a point of the set, would
        leave the set; the arguments are not changed.
        """

    def unknowns(self, inputs: Tensor, axes: tuple[int, ...]) -> Tensor:  # noqa: ARG002 - for others
        """The unknowns of inputs (b, …); `axes` are those of space."""
        return inputs

    def inputs(self, unknowns: Tensor, axes: tuple[int, ...]) -> Tensor:  # noqa: ARG002 - for others
        """The inputs (b, …) of unknowns, differentiably."""
        return unknowns

    def outside(self, inputs: Tensor, centre: Tensor | None) -> Tensor:  # noqa: ARG002 - for others
        """(b,): the distance by which inputs lie outside a ball, 0 within it and without a ball."""
        return inputs.new_zeros(len(inputs))


CONSTRAINTS: Registry[Constraint] = Registry("constraint")
