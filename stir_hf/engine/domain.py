"""The set in which iterates lie."""

from dataclasses import dataclass

from torch import Tensor

from stir_hf.engine.constraints import Constraint


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
