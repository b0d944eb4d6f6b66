"""The unit box."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from stir_hf.engine.constraints.base import CONSTRAINTS


@CONSTRAINTS.add("box")
@dataclass(frozen=True)
class Box:
    """Every value in [0, 1]."""

    uses_origin: ClassVar[bool] = False

    def project(self, x: Tensor, origin: Tensor | None) -> Tensor:  # noqa: ARG002 - a Constraint
        """Clamped to [0, 1]."""
        return x.clamp(0, 1)

    def free(self, x: Tensor, gradient: Tensor) -> Tensor:
        """Zero where a value is at a bound and would leave it."""
        # in floats, as masks of booleans cost more than the rest of a step on the CPU
        return (x - gradient.sign()).clamp_(0, 1).sub_(x).sign_().abs_().mul_(gradient)
