"""Update rules. A rule is stateless: what it remembers of each image is a tensor whose first axis is the image."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

State = dict[str, Tensor]
_TINY = 1e-30


class Rule(Protocol):
    """How one step is taken from (x, error, gradient)."""

    @property
    def stops(self) -> bool:
        """Whether an image is finished when its error reaches the tolerance."""

    def begin(self, start: Tensor) -> tuple[Tensor, State]:
        """First iterate and memory for start images (b, c, h, w)."""

    def step(self, x: Tensor, error: Tensor, gradient: Tensor, state: State) -> Tensor:
        """Next iterate; `error` (b,) and `gradient` (b, c, h, w) belong to x. Updates `state` in place."""


@dataclass(frozen=True)
class Paper:
    """The original's rule: x ← clamp(x - η g / (‖g‖₂ + 1e-10), 0, 1), from the start image as it is.

    Nanda et al. 2022; their code `UnconstrainedStep` with η = 0.5. The gradient is the true one: their CIFAR ResNets
    pass it through the last ReLU as if that were the identity.
    """

    step_size: float = 0.5
    stops: bool = False

    def begin(self, start: Tensor) -> tuple[Tensor, State]:
        """The start itself, not clamped, as the original evaluates it."""
        return start, {}

    def step(self, x: Tensor, error: Tensor, gradient: Tensor, state: State) -> Tensor:  # noqa: ARG002 - a Rule
        """One normalised gradient step."""
        norm = gradient.flatten(1).norm(dim=1) + 1e-10
        moved: Tensor = x - self.step_size * gradient / norm[:, None, None, None]
        return moved.clamp_(0, 1)


@dataclass(frozen=True)
class AdamPolyak:
    """Adam's metric with Polyak's step length: no learning rate, since the least error is known to be 0.

    With r the relative error, g = ∂r/∂x and g_f = g without what pushes into an active bound of [0,1]:
    P = 1 / (√v̂ + 1e-3 ‖g‖ / √D), v the running mean of g² (bias-corrected); a = c r / ⟨g_f, P g_f⟩ (Polyak 1969, in the
    metric P); m ← β₁ m - (1 - β₁) a P g_f; x ← clamp(x + m / (1 - β₁ᵏ), 0, 1).
    """

    length: float = 0.5
    momentum: float = 0.9
    decay: float = 0.9
    stops: bool = True

    def begin(self, start: Tensor) -> tuple[Tensor, State]:
        """The start, clamped to [0,1], and zero moments."""
        x = start.clamp(0, 1)
        # The powers of the bias corrections are products: a vectorised pow rounds differently from one place of a batch
        # to another, and hundreds of steps amplify that.
        ones = x.new_ones(len(x), 1, 1, 1)
        return x, {
            "v": torch.zeros_like(x),
            "m": torch.zeros_like(x),
            "decay_k": ones,
            "momentum_k": ones.clone(),
        }

    def step(self, x: Tensor, error: Tensor, gradient: Tensor, state: State) -> Tensor:
        """One preconditioned step."""
        unseen_v, unseen_m = (
            state["decay_k"].mul_(self.decay),
            state["momentum_k"].mul_(self.momentum),
        )
        v = state["v"].mul_(self.decay).addcmul_(gradient, gradient, value=1 - self.decay)
        floor = gradient.flatten(1).norm(dim=1)[:, None, None, None] * (
            1e-3 / gradient[0].numel() ** 0.5
        )
        root = (v / (1 - unseen_v)).sqrt_().add_(floor).clamp_min_(_TINY)
        # 0 where a step against the gradient leaves [0,1], else 1; in floats, as masks of booleans cost more than the rest
        free = (x - gradient.sign()).clamp_(0, 1).sub_(x).sign_().abs_().mul_(gradient)
        direction = free / root
        slope = (free * direction).flatten(1).sum(1).clamp_min_(_TINY)
        scale = (self.length * error / slope)[:, None, None, None]
        m = state["m"].lerp_(direction.mul_(-scale), 1 - self.momentum)
        return torch.addcdiv(x, m, 1 - unseen_m).clamp_(0, 1)


def rule_for(method: str) -> Rule:
    """The update rule of a method by name: `adam-polyak` or `paper`.

    Raises:
        KeyError: an unknown method.
    """
    rules: dict[str, Rule] = {"adam-polyak": AdamPolyak(), "paper": Paper()}
    return rules[method]
