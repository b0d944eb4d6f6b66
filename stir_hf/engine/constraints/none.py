"""No constraint."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from stir_hf.engine.constraints.base import CONSTRAINTS, Constraint


@CONSTRAINTS.add("none", also="free")
@dataclass(frozen=True)
class Free(Constraint):
    """No constraint: every value is allowed; values outside the bounds are cut off in storage."""

    unbounded: ClassVar[bool] = True

    def project(self, x: Tensor, centre: Tensor | None) -> Tensor:  # noqa: ARG002 - a Constraint
        """Return the values unchanged."""
        return x

    def free(self, x: Tensor, gradient: Tensor, centre: Tensor | None) -> Tensor:  # noqa: ARG002 - as above
        """Return the gradient unchanged."""
        return gradient
