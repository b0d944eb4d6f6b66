"""The default rule."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from stir_hf.engine.domain import Domain
from stir_hf.engine.rules.base import RULES, State, check_number
from stir_hf.engine.rules.polyak import Polyak, Squares
from stir_hf.errors import RequestError
from stir_hf.registry import option

METRICS = ("adam", "l2")


@RULES.add("adam-polyak")
@dataclass(frozen=True)
class AdamPolyak(Polyak):
    """Polyak's step length in Adam's metric, falling with the passes; it needs no learning rate.

    As `Polyak`, with d = P g_f, P = 1 / (√v̂ + 1e-3 ‖g‖ / √D), v the running mean of g², D values.
    In the metric `l2`, P = 1.
    """

    length: float = option(1.5, "Share of Polyak's step length in the first pass.")
    momentum: float = option(0.9, "Decay of the running mean of the steps.")
    decay: float = option(0.7, "Decay of the running mean of the squared gradients.")
    half: float = option(
        100.0, "Passes after which the step length has halved; 0 keeps it.", neutral=0.0
    )
    metric: str = option("adam", "adam or l2, the plain gradient.", neutral="adam")

    default_steps: ClassVar[int] = 200
    default_start: ClassVar[str] = "noise"

    def __post_init__(self) -> None:
        check_number("adam-polyak", "length", self.length, above=0)
        check_number("adam-polyak", "momentum", self.momentum, below=1)
        check_number("adam-polyak", "decay", self.decay, below=1)
        check_number("adam-polyak", "half", self.half)
        if self.metric not in METRICS:
            raise RequestError(
                f"option 'metric' of method 'adam-polyak' must be one of {', '.join(METRICS)}, not"
                f" {self.metric!r}"
            )

    def begin(self, x: Tensor, passes: int) -> State:
        """Return a state with zero moments."""
        squares = Squares.begin(x) if self.metric == "adam" else {}
        return {**super().begin(x, passes), **squares}

    def direction(
        self,
        x: Tensor,  # noqa: ARG002 - a Polyak
        gradient: Tensor,
        allowed: Tensor,
        state: State,
        domain: Domain,  # noqa: ARG002 - a Polyak
        centre: Tensor | None,  # noqa: ARG002 - a Polyak
    ) -> Tensor:
        """Return P g_f."""
        if self.metric == "l2":
            return allowed.clone()
        root = Squares.root(gradient, self.decay, state)
        return torch.div(allowed, root, out=root)
