"""The update rule of the original paper."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, linalg

from stir_hf.engine.domain import Domain
from stir_hf.engine.rules.base import RULES, Rule, State, check_number
from stir_hf.errors import RequestError
from stir_hf.registry import option


@RULES.add("paper")
@dataclass(frozen=True)
class Paper(Rule):
    """The original's rule, which never stops early.

    x ← project(x - η g / (‖g‖₂ + 1e-10)), from the unprojected start. Nanda et al. 2022; their code
    `UnconstrainedStep` with η = 0.5. The gradient is the true one, unless `fake_relu` passes
    it through the last ReLU before the layer as if that were the identity, as their CIFAR ResNets
    do. `--steps` is their number of iterations, `keep=last` their `use_best=False`.
    """

    step_size: float = option(0.5, "Length of a step, in the L2 norm.")

    keep: str = option(
        "best", "best or last: which of its iterates is the inversion.", neutral="best"
    )
    fake_relu: bool = option(
        False, "Pass the gradient through the last ReLU unchanged.", neutral=False
    )

    stops: ClassVar[bool] = False
    projects_start: ClassVar[bool] = False
    default_restarts: ClassVar[str] = "1"
    default_steps: ClassVar[int] = 1000
    default_start: ClassVar[str] = "noise"

    def __post_init__(self) -> None:
        check_number("paper", "step_size", self.step_size, above=0)
        if self.keep not in ("best", "last"):
            raise RequestError(
                f"option 'keep' of method 'paper' must be best or last, not {self.keep!r}"
            )

    @property
    def keeps_last(self) -> bool:
        """True if the last iterate is kept."""
        return self.keep == "last"

    @property
    def straight(self) -> bool:
        """True if the gradient passes the last ReLU as if it were the identity."""
        return self.fake_relu

    def begin(self, x: Tensor, passes: int) -> State:  # noqa: ARG002 - a Rule
        """Return an empty state."""
        return {}

    def step(
        self,
        x: Tensor,
        error: Tensor,  # noqa: ARG002 - a Rule
        gradient: Tensor,
        state: State,  # noqa: ARG002 - a Rule
        domain: Domain,  # noqa: ARG002 - a Rule
        centre: Tensor | None,  # noqa: ARG002 - a Rule
    ) -> Tensor:
        """Take one normalised gradient step."""
        norm = linalg.vector_norm(gradient, dim=tuple(range(1, x.ndim)), keepdim=True).add_(1e-10)
        return x - (self.step_size * gradient).div_(norm)
