"""The default rule."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, linalg

from stir_hf.engine.rules.base import RULES, Free, State, check_number
from stir_hf.engine.shapes import per_image
from stir_hf.registry import option

_TINY = 1e-30


@RULES.add("adam-polyak")
@dataclass(frozen=True)
class AdamPolyak:
    """Adam's metric with Polyak's step length: no learning rate, since the least error is known to
    be 0.

    With r the error, g = ∂r/∂x of D values and g_f = g without what the constraint blocks:
    P = 1 / (√v̂ + 1e-3 ‖g‖ / √D), v the running mean of g² (bias-corrected); a = c r / ⟨g_f, P
    g_f⟩ (Polyak 1969, in the metric P); m ← β₁ m - (1 - β₁) a P g_f; x ← project(x + m / (1 -
    β₁ᵏ)).
    """

    length: float = option(0.5, "Share of Polyak's step length.")
    momentum: float = option(0.9, "Decay of the running mean of the steps.")
    decay: float = option(0.9, "Decay of the running mean of the squared gradients.")

    stops: ClassVar[bool] = True
    projects_start: ClassVar[bool] = True
    default_steps: ClassVar[int] = 500

    def __post_init__(self) -> None:
        check_number("adam-polyak", "length", self.length, above=0)
        check_number("adam-polyak", "momentum", self.momentum, below=1)
        check_number("adam-polyak", "decay", self.decay, below=1)

    def begin(self, x: Tensor) -> State:
        """Zero moments, and the powers of the bias corrections.

        The powers are products: a vectorised pow rounds differently from one place of a batch to
        another, and hundreds of steps amplify that.
        """
        ones = per_image(x.new_ones(len(x)), x)
        return {
            "v": torch.zeros_like(x),
            "m": torch.zeros_like(x),
            "decay_k": ones,
            "momentum_k": ones.clone(),
        }

    def step(self, x: Tensor, error: Tensor, gradient: Tensor, state: State, free: Free) -> Tensor:
        """One preconditioned step, with as few temporary tensors and calls as its arithmetic
        allows.
        """
        axes, size = tuple(range(1, x.ndim)), x.numel() // len(x)
        seen_v = seen_m = torch.rsub(state["decay_k"].mul_(self.decay), 1)
        if self.momentum != self.decay:
            seen_m = torch.rsub(state["momentum_k"].mul_(self.momentum), 1)
        v = state["v"].mul_(self.decay).addcmul_(gradient, gradient, value=1 - self.decay)
        norm = linalg.vector_norm(gradient, dim=axes, keepdim=True)
        root = (v / seen_v).sqrt_().add_(norm.mul_(1e-3 / size**0.5).clamp_min_(_TINY))
        allowed = free(x, gradient)
        direction = torch.div(allowed, root, out=root)
        products = allowed * direction
        slope = products.sum(axes, keepdim=True).clamp_min_(_TINY)
        scale = per_image(error * -self.length, x).div_(slope)
        m = state["m"].lerp_(direction.mul_(scale), 1 - self.momentum)
        return torch.addcdiv(x, m, seen_m, out=products)
