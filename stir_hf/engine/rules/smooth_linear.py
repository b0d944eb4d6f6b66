"""Inversion of large networks in a smooth metric."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from stir_hf.engine.domain import Domain
from stir_hf.engine.rules.base import RULES, State, check_number
from stir_hf.engine.rules.polyak import Polyak, Squares
from stir_hf.engine.rules.smooth import smoothed
from stir_hf.registry import option


@RULES.add("smooth-linear")
@dataclass(frozen=True)
class SmoothLinear(Polyak):
    """Like smooth, with more momentum and a length that falls to 0, from other originals: the
    least error at 224 pixels.

    The length is c = length · (1 - k / passes) in pass k from 0, so it depends on `--steps`. The
    rest is `Smooth`, and so is the warning: do not compare its scores with those of other methods.
    """

    length: float = option(3.0, "Share of Polyak's step length in the first pass.")
    momentum: float = option(0.95, "Decay of the running mean of the steps.")
    decay: float = option(0.7, "Decay of the running mean of the squared gradients.")
    power: float = option(0.5, "Of the filter of the gradient; 0 is no filter.")

    needs_space: ClassVar[bool] = True
    default_steps: ClassVar[int] = 300
    default_start: ClassVar[str] = "other"

    @property
    def half(self) -> float:  # type: ignore[override]  # a Polyak's option, which this rule lacks
        """0: the length falls in `step`."""
        return 0.0

    def __post_init__(self) -> None:
        check_number("smooth-linear", "length", self.length, above=0)
        check_number("smooth-linear", "momentum", self.momentum, below=1)
        check_number("smooth-linear", "decay", self.decay, below=1)
        check_number("smooth-linear", "power", self.power, below=4)

    def begin(self, x: Tensor, passes: int) -> State:
        """Return a state with zero moments, and the share of the passes that one is."""
        state = {**super().begin(x, passes), **Squares.begin(x)}
        return {**state, "share": state["age"] + 1 / passes}

    def step(
        self,
        x: Tensor,
        error: Tensor,
        gradient: Tensor,
        state: State,
        domain: Domain,
        centre: Tensor | None,
    ) -> Tensor:
        """Take one step, whose length is in proportion to the error and to the passes left."""
        left = (1 - state["age"] * state["share"]).flatten()
        state["age"] += 1
        return super().step(x, error * left, gradient, state, domain, centre)

    def direction(
        self,
        x: Tensor,
        gradient: Tensor,  # noqa: ARG002 - a Polyak
        allowed: Tensor,
        state: State,
        domain: Domain,
        centre: Tensor | None,
    ) -> Tensor:
        """Return S½ P S½ g_f."""
        return smoothed(x, allowed, self.power, self.decay, state, domain, centre)
