"""Steps of Polyak's length along a preconditioned gradient, shared by several rules."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from stir_hf.engine.domain import Domain
from stir_hf.engine.rules.base import Rule, State
from stir_hf.engine.shapes import per_row

TINY = 1e-30


class Polyak(Rule, ABC):
    """Descent without a learning rate, since the least error is known to be 0 (Polyak 1969,
    "Minimization of unsmooth functionals"), with a running mean of the steps.

    With r the error, g = ∂r/∂x, g_f = g with zeros where the constraint blocks it, d the direction
    that the rule derives from it, k the number of earlier passes: c = length / (1 + k / half), or
    length if half is 0; a = c r / ⟨g_f, d⟩; m ← β m - (1 - β) a d; x ← project(x + m / (1 - βᵏ⁺¹)).
    """

    length: float
    half: float
    momentum: float

    stops: ClassVar[bool] = True
    projects_start: ClassVar[bool] = True
    needs_least: ClassVar[bool] = True

    @abstractmethod
    def direction(
        self,
        x: Tensor,
        gradient: Tensor,
        allowed: Tensor,
        state: State,
        domain: Domain,
        centre: Tensor | None,
    ) -> Tensor:
        """Return the direction d, (b, …), as a new tensor; a step goes against it. `allowed` is the
        gradient with zeros where the constraint blocks it, not to be changed; the rest as in
        `step`.
        """

    def begin(self, x: Tensor, passes: int) -> State:  # noqa: ARG002 - a Rule
        """Return zero moments, and the powers of the bias corrections.

        The powers are products: a vectorised pow rounds differently from one place of a batch to
        another, and hundreds of steps amplify that.
        """
        ones = per_row(x.new_ones(len(x)), x)
        return {"m": torch.zeros_like(x), "momentum_k": ones, "age": torch.zeros_like(ones)}

    def step(
        self,
        x: Tensor,
        error: Tensor,
        gradient: Tensor,
        state: State,
        domain: Domain,
        centre: Tensor | None,
    ) -> Tensor:
        """Take one preconditioned step, with as few temporary tensors and calls as possible."""
        allowed = domain.free(x, gradient, centre)
        direction = self.direction(x, gradient, allowed, state, domain, centre)
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
        """Return the state before the first gradient."""
        return {"v": torch.zeros_like(x), "decay_k": per_row(x.new_ones(len(x)), x)}

    @staticmethod
    def root(gradient: Tensor, decay: float, state: State) -> Tensor:
        """Add gradients (b, …) of D values to the mean, and return √v̂ + 1e-3 ‖g‖ / √D."""
        axes, size = tuple(range(1, gradient.ndim)), gradient.numel() // len(gradient)
        seen = torch.rsub(state["decay_k"].mul_(decay), 1)
        v = state["v"].mul_(decay).addcmul_(gradient, gradient, value=1 - decay)
        norm = torch.linalg.vector_norm(gradient, dim=axes, keepdim=True)
        return (v / seen).sqrt_().add_(norm.mul_(1e-3 / size**0.5).clamp_min_(TINY))
