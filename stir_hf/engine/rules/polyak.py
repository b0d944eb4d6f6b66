"""Steps of Polyak's length along a preconditioned gradient: what several rules share."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from stir_hf.engine.rules.base import State, Surface
from stir_hf.engine.shapes import per_row

TINY = 1e-30


class Polyak(ABC):
    """No learning rate, since the least error is known to be 0 (Polyak 1969, "Minimization of
    unsmooth functionals"), and a running mean of the steps.

    With r the error, g = ∂r/∂x, g_f = g without what the constraint blocks, d the direction that
    the rule makes of it, k the passes before this one: c = length / (1 + k / half), or length where
    half is 0; a = c r / ⟨g_f, d⟩; m ← β m - (1 - β) a d; x ← project(x + m / (1 - βᵏ⁺¹)).
    """

    length: float
    half: float
    momentum: float

    stops: ClassVar[bool] = True
    projects_start: ClassVar[bool] = True
    needs_space: ClassVar[bool] = False

    @abstractmethod
    def direction(
        self, x: Tensor, gradient: Tensor, allowed: Tensor, state: State, domain: Surface
    ) -> Tensor:
        """The direction d, (b, …), against which a step goes: a new tensor.

        Args:
            x: the iterate.
            gradient: of the error.
            allowed: what the constraint leaves of the gradient; stays as it is.
            state: updated in place.
            domain: the constraint's effect on a direction, and the axes of space.
        """

    def begin(self, x: Tensor) -> State:
        """Zero moments, and the powers of the bias corrections.

        The powers are products: a vectorised pow rounds differently from one place of a batch to
        another, and hundreds of steps amplify that.
        """
        ones = per_row(x.new_ones(len(x)), x)
        return {"m": torch.zeros_like(x), "momentum_k": ones, "age": torch.zeros_like(ones)}

    def step(
        self, x: Tensor, error: Tensor, gradient: Tensor, state: State, domain: Surface
    ) -> Tensor:
        """One preconditioned step, with as few temporary tensors and calls as its arithmetic
        allows.
        """
        allowed = domain.free(x, gradient)
        direction = self.direction(x, gradient, allowed, state, domain)
        products = allowed * direction
        slope = products.sum(tuple(range(1, x.ndim)), keepdim=True).clamp_min_(TINY)
        scale = per_row(error * -self.length, x).div_(slope)
        if self.half:
            scale.div_(state["age"] / self.half + 1)
            state["age"] += 1
        m = state["m"].lerp_(direction.mul_(scale), 1 - self.momentum)
        seen = torch.rsub(state["momentum_k"].mul_(self.momentum), 1)
        return torch.addcdiv(x, m, seen, out=products)


class Squares:
    """The running mean of squared gradients, bias-corrected: the diagonal of Adam's metric (Kingma
    and Ba 2015).
    """

    @staticmethod
    def begin(x: Tensor) -> State:
        """Nothing seen."""
        return {"v": torch.zeros_like(x), "decay_k": per_row(x.new_ones(len(x)), x)}

    @staticmethod
    def root(gradient: Tensor, decay: float, state: State) -> Tensor:
        """√v̂ + 1e-3 ‖g‖ / √D of gradients (b, …) of D values, after this one was seen."""
        axes, size = tuple(range(1, gradient.ndim)), gradient.numel() // len(gradient)
        seen = torch.rsub(state["decay_k"].mul_(decay), 1)
        v = state["v"].mul_(decay).addcmul_(gradient, gradient, value=1 - decay)
        norm = torch.linalg.vector_norm(gradient, dim=axes, keepdim=True)
        return (v / seen).sqrt_().add_(norm.mul_(1e-3 / size**0.5).clamp_min_(TINY))
