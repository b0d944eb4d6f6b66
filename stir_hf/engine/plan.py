"""What a descent does with every row."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from stir_hf.engine.domain import Domain
from stir_hf.engine.objectives import Objective, RelativeError
from stir_hf.engine.restarts import Restarts
from stir_hf.engine.rules import Rule

Context = Mapping[str, Tensor]
"""Tensors (b, …) that a network gets together with its inputs, such as a mask."""

Represent = Callable[[Tensor, Context], Tensor]
"""Differentiable function from inputs (b, …) and their context to representations (b, d), with
independent rows.
"""


@dataclass(frozen=True)
class Plan:
    """Rule, domain, objective and limits of a descent."""

    rule: Rule
    domain: Domain
    passes: int
    """Maximum number of passes of a row from each start, at least 1."""
    tolerance: float
    """Tolerance of the relative error, for items without their own."""
    objective: Objective = RelativeError()  # noqa: RUF009 - it is frozen
    others: tuple[Represent, ...] = ()
    """The further models of the objective."""
    diverse: float = 0.0
    """Weight of the distance of a row from its item's `earlier` inputs."""
    restarts: Restarts = Restarts()  # noqa: RUF009 - as above

    @property
    def stops(self) -> bool:
        """True if a row ends when its error is sufficient: not if the least value of what is
        minimised is unknown, so that lower values may follow.
        """
        return self.rule.stops and self.objective.least_is_zero and not self.diverse
