"""The domain of a descent: its constraint, the axes of space, and the bounds of the inputs."""

from dataclasses import dataclass

from torch import Tensor

from stir_hf.engine.constraints import Constraint
from stir_hf.engine.constraints.box import inside


@dataclass(frozen=True)
class Domain:
    """The constraint of a descent with the axes and the bounds of its inputs.

    The descent moves *unknowns* z (b, …). They are the inputs themselves, unless the constraint has
    other coordinates (Fourier coefficients).
    """

    constraint: Constraint
    space: tuple[int, ...] = ()
    """The axes of one input that are space or time; 0 is the first axis after the batch axis."""
    bounds: tuple[float, float] | None = None
    """The least and the greatest value of the kind of input; None without bounds."""

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes of space in tensors (b, …)."""
        return tuple(axis + 1 for axis in self.space)

    def centre(self, start: Tensor, original: Tensor | None) -> Tensor | None:
        """What the constraint is around, (b, …), for starts and originals (b, …): the start within
        its bounds, or the original; None if it is around neither.

        Raises:
            ValueError: it is around the original, and there is none.
        """
        around = self.constraint.around
        if around is None:
            return None
        if around == "original" and original is None:
            raise ValueError("this constraint is around the original: each item needs its origin")
        found = start if around == "start" else original
        assert found is not None
        return found if self.bounds is None else found.clamp(*self.bounds)

    def first(self, start: Tensor, centre: Tensor | None, *, projected: bool) -> Tensor:
        """The unknowns (b, …) of the first pass, from starts (b, …), which may be changed; engine
        and floor both use them. `projected` is `Rule.projects_start`.
        """
        unknowns = self.constraint.unknowns(start, self.axes)
        return self.project(unknowns, centre) if projected else unknowns

    def project(self, unknowns: Tensor, centre: Tensor | None) -> Tensor:
        """Unknowns (b, …) moved into the set, perhaps in place."""
        found = self.constraint.project(unknowns, centre)
        if self.bounds is not None and self.constraint.within_bounds:
            return found.clamp_(*self.bounds)
        return found

    def free(self, unknowns: Tensor, gradient: Tensor, centre: Tensor | None) -> Tensor:
        """A gradient (b, …), zero where the constraint or the bounds block a step against it."""
        found = self.constraint.free(unknowns, gradient, centre)
        if self.bounds is not None and self.constraint.within_bounds:
            return inside(unknowns, found, *self.bounds)
        return found

    def inputs(self, unknowns: Tensor) -> Tensor:
        """The inputs (b, …) that unknowns stand for, differentiably."""
        return self.constraint.inputs(unknowns, self.axes)
