"""No constraint."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from stir_hf.engine.constraints.base import CONSTRAINTS


@CONSTRAINTS.add("none")
@dataclass(frozen=True)
class Free:
    """No constraint: every value is allowed."""

    uses_origin: ClassVar[bool] = False

    def project(self, x: Tensor, origin: Tensor | None) -> Tensor:  # noqa: ARG002 - a Constraint
        """Return the values unchanged."""
        return x

    def free(self, x: Tensor, gradient: Tensor) -> Tensor:  # noqa: ARG002 - a Constraint
        """Return the gradient unchanged."""
        return gradient
