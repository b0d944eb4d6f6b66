"""The box between two bounds."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from stir_hf.engine.constraints.base import CONSTRAINTS, Constraint
from stir_hf.errors import RequestError
from stir_hf.registry import option

_where_not_zero = torch.ops.aten.hardshrink_backward.default


@CONSTRAINTS.add("box")
@dataclass(frozen=True)
class Box(Constraint):
    """Every value between two bounds, [0, 1] by default."""

    low: float = option(0.0, "Least value.", neutral=0.0)
    high: float = option(1.0, "Greatest value.", neutral=1.0)

    def __post_init__(self) -> None:
        if not -1e6 < self.low < self.high < 1e6:
            raise RequestError(
                f"a box needs low < high, each within 1e6 of 0, not {self.low} and {self.high}"
            )

    def project(self, x: Tensor, centre: Tensor | None) -> Tensor:  # noqa: ARG002 - a Constraint
        """Clamp the values, in place."""
        return x.clamp_(self.low, self.high)

    def free(self, x: Tensor, gradient: Tensor, centre: Tensor | None) -> Tensor:  # noqa: ARG002 - as above
        """Return the gradient, with zeros where a value at a bound would leave the box."""
        return inside(x, gradient, self.low, self.high)


def inside(x: Tensor, gradient: Tensor, low: float | Tensor, high: float | Tensor) -> Tensor:
    """A gradient, with zeros where a step against it from x, in [low, high], would leave that
    range.
    """
    # In floats, because boolean masks cost more than the rest of a step on the CPU. The largest
    # number times the least one above 0 still moves any x in the box.
    far = torch.sub(x, gradient, alpha=torch.finfo(x.dtype).max)
    limits: Any = low, high  # numbers or tensors, which torch declares apart
    room = far.clamp_(*limits).sub_(x)
    free: Tensor = _where_not_zero(gradient, room, 0)
    return free
