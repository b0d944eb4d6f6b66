"""The update rule of the original paper."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, linalg

from stir_hf.engine.constraints import Domain
from stir_hf.engine.rules.base import RULES, State, check_number
from stir_hf.registry import option


@RULES.add("paper")
@dataclass(frozen=True)
class Paper:
    """The original's rule, which never stops early.

    x ← project(x - η g / (‖g‖₂ + 1e-10)), from the unprojected start. Nanda et al. 2022; their code
    `UnconstrainedStep` with η = 0.5. The gradient is the true one: their CIFAR ResNets pass it
    through the last ReLU as if that were the identity.
    """

    step_size: float = option(0.5, "Length of a step, in the L2 norm.")

    stops: ClassVar[bool] = False
    projects_start: ClassVar[bool] = False
    needs_space: ClassVar[bool] = False
    default_steps: ClassVar[int] = 1000
    default_start: ClassVar[str] = "noise"

    def __post_init__(self) -> None:
        check_number("paper", "step_size", self.step_size, above=0)

    def begin(self, x: Tensor) -> State:  # noqa: ARG002 - a Rule
        """Return an empty state."""
        return {}

    def step(
        self,
        x: Tensor,
        error: Tensor,  # noqa: ARG002 - a Rule
        gradient: Tensor,
        state: State,  # noqa: ARG002 - a Rule
        domain: Domain,  # noqa: ARG002 - a Rule
    ) -> Tensor:
        """Take one normalised gradient step."""
        norm = linalg.vector_norm(gradient, dim=tuple(range(1, x.ndim)), keepdim=True).add_(1e-10)
        return x - (self.step_size * gradient).div_(norm)
