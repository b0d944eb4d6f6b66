"""The unit box."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from stir_hf.engine.constraints.base import CONSTRAINTS

_where_not_zero = torch.ops.aten.hardshrink_backward.default


@CONSTRAINTS.add("box")
@dataclass(frozen=True)
class Box:
    """Every value in [0, 1]."""

    uses_origin: ClassVar[bool] = False

    def project(self, x: Tensor, origin: Tensor | None) -> Tensor:  # noqa: ARG002 - a Constraint
        """Clamped to [0, 1], in place."""
        return x.clamp_(0, 1)

    def free(self, x: Tensor, gradient: Tensor) -> Tensor:
        """Zero where a value is at a bound and would leave it."""
        # In floats, as masks of booleans cost more than the rest of a step on the CPU. The largest
        # number times the least
        # one above 0 still moves any x in [0, 1].
        room = torch.sub(x, gradient, alpha=torch.finfo(x.dtype).max).clamp_(0, 1).sub_(x)
        free: Tensor = _where_not_zero(gradient, room, 0)
        return free
