"""Balls around the start or the original, within the bounds of the kind of input."""

import math
from dataclasses import MISSING, dataclass
from typing import ClassVar

import torch
from torch import Tensor

from stir_hf.engine.constraints.base import CONSTRAINTS, Around, Constraint
from stir_hf.engine.constraints.box import inside
from stir_hf.engine.shapes import per_row
from stir_hf.errors import RequestError, check_choice
from stir_hf.registry import option


@dataclass(frozen=True)
class _Ball(Constraint):
    """The inputs at a distance of at most `radius` from the start or the original.

    A point is moved into the ball and then into the bounds. Each centre lies within the bounds, so
    the result is in both sets; it need not be their nearest point. As in the original's code
    (`L2Step`, `LinfStep`), where balls are always around the start.
    """

    radius: float = option(MISSING, "Largest distance from the centre, in units of the values.")
    around: Around = option("start", "start or original.")

    within_bounds: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 < self.radius < math.inf:
            raise RequestError(
                f"option 'radius' of a ball must be above 0 and finite, not {self.radius}"
            )
        check_choice("around", self.around, ("start", "original"))


@CONSTRAINTS.add("l2")
@dataclass(frozen=True)
class L2Ball(_Ball):
    """At most `radius` from the start or the original in the L2 norm, within the bounds."""

    def project(self, x: Tensor, centre: Tensor | None) -> Tensor:
        """Shorten the offset of each row to the radius."""
        offset = x - _given(centre)
        scale = self.radius / _norm(offset).clamp_min_(torch.finfo(x.dtype).tiny)
        return offset.mul_(per_row(scale.clamp_max_(1), x)).add_(_given(centre))

    def free(self, x: Tensor, gradient: Tensor, centre: Tensor | None) -> Tensor:
        """Return the gradient; on the sphere, without its part that pushes outwards."""
        offset = x - _given(centre)
        distance = _norm(offset)
        outward = -(gradient * offset).flatten(1).sum(1) / distance.square().clamp_min(1e-30)
        blocked = (distance >= self.radius * (1 - 1e-6)) & (outward > 0)
        return gradient + offset * per_row(outward * blocked, x)

    def outside(self, inputs: Tensor, centre: Tensor | None) -> Tensor:
        """(b,): the L2 distance from the centre above the radius."""
        return torch.clamp_min(_norm(inputs - _given(centre)) - self.radius, 0)


@CONSTRAINTS.add("linf")
@dataclass(frozen=True)
class LinfBall(_Ball):
    """Every value at most `radius` from that of the start or the original, within the bounds."""

    def project(self, x: Tensor, centre: Tensor | None) -> Tensor:
        """Clamp each value to its own range."""
        return torch.clamp(x, _given(centre) - self.radius, _given(centre) + self.radius)

    def free(self, x: Tensor, gradient: Tensor, centre: Tensor | None) -> Tensor:
        """Return the gradient, with zeros where a value at the end of its range would leave it."""
        low, high = _given(centre) - self.radius, _given(centre) + self.radius
        return inside(x, gradient, low, high)

    def outside(self, inputs: Tensor, centre: Tensor | None) -> Tensor:
        """(b,): the largest distance of a value from the centre's above the radius."""
        offset = (inputs - _given(centre)).abs().flatten(1)
        return torch.clamp_min(offset.amax(1) - self.radius, 0)


def _norm(offset: Tensor) -> Tensor:
    """(b,): the L2 norms of rows (b, …)."""
    found: Tensor = torch.linalg.vector_norm(offset.flatten(1), dim=1)
    return found


def _given(centre: Tensor | None) -> Tensor:
    if centre is None:
        raise ValueError("a ball needs its centre")
    return centre
