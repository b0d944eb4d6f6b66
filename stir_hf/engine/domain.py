"""The set in which iterates lie, and the first iterate."""

from dataclasses import dataclass

from torch import Tensor

from stir_hf.engine.constraints import Constraint
from stir_hf.engine.rules.base import Rule


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


def first_iterate(
    rule: Rule, constraint: Constraint, start: Tensor, origin: Tensor | None
) -> Tensor:
    """The iterates (b, …) of the first pass, from starts (b, …), which may be changed; `origin`
    (b, …) are the originals, for a constraint that uses them.
    """
    return constraint.project(start, origin) if rule.projects_start else start


def kept(constraint: Constraint, iterate: Tensor, origin: Tensor | None) -> Tensor:
    """The inversions (b, …) to store for iterates (b, …), which may be changed."""
    return constraint.project(iterate, origin)
