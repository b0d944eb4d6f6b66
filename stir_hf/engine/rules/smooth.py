"""Inversion in a smooth metric, which is a regularised method."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from stir_hf.engine.domain import Domain
from stir_hf.engine.rules.base import RULES, State, check_number
from stir_hf.engine.rules.polyak import Polyak, Squares
from stir_hf.engine.spectrum import one_over_f
from stir_hf.registry import option


@RULES.add("smooth")
@dataclass(frozen=True)
class Smooth(Polyak):
    """Like adam-polyak in a 1/f metric, from grey: smoother inversions, and other scores.

    S½ is the filter |f|^(-power), f the spatial frequency in cycles per value but at least one per
    axis, scaled to unit root mean square; h = S½ g_f; v the running mean of h²; P = 1 / (√v̂ +
    1e-3 ‖h‖ / √D); d = S½ P h, without what the constraint blocks. The rest is `Polyak`.
    This is regularised inversion and finds other inversions (Nanda et al. 2023, "Do invariances in
    deep neural networks align with human perception?", with other regularisers). Do not compare its
    scores with those of other methods.
    """

    length: float = option(3.0, "Share of Polyak's step length in the first pass.")
    half: float = option(100.0, "Passes after which the step length has halved; 0 keeps it.")
    momentum: float = option(0.9, "Decay of the running mean of the steps.")
    decay: float = option(0.7, "Decay of the running mean of the squared gradients.")
    power: float = option(0.5, "Of the filter of the gradient; 0 is no filter.")

    default_steps: ClassVar[int] = 200
    default_start: ClassVar[str] = "grey"
    needs_space: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_number("smooth", "length", self.length, above=0)
        check_number("smooth", "half", self.half)
        check_number("smooth", "momentum", self.momentum, below=1)
        check_number("smooth", "decay", self.decay, below=1)
        check_number("smooth", "power", self.power, below=4)

    def begin(self, x: Tensor, passes: int) -> State:
        """Return a state with zero moments."""
        return {**super().begin(x, passes), **Squares.begin(x)}

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


def smoothed(
    x: Tensor,
    allowed: Tensor,
    power: float,
    decay: float,
    state: State,
    domain: Domain,
    centre: Tensor | None,
) -> Tensor:
    """S½ P S½ g_f, (b, …), of gradients g_f, without what the constraint blocks; see `Smooth`."""
    filtered = one_over_f(allowed, power, domain.axes)
    root = Squares.root(filtered, decay, state)
    moved = one_over_f(filtered.div_(root), power, domain.axes)
    return domain.free(x, moved, centre)
