"""Adam with a learning rate."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from stir_hf.engine.domain import Domain
from stir_hf.engine.rules.base import RULES, Rule, State, check_number
from stir_hf.engine.shapes import per_row
from stir_hf.errors import RequestError
from stir_hf.registry import option

SMALL = 1e-8
"""Added to the root of the squares, as in the paper of Adam."""


@RULES.add("adam")
@dataclass(frozen=True)
class Adam(Rule):
    """Adam, for objectives whose least value is not known.

    Kingma and Ba 2015, with β = (.9, .999) and ε = 1e-8. With `decay=cosine` the learning rate
    falls to 0 over the passes of a row: lr (1 + cos(π k / steps)) / 2 in pass k from 0. Values at a
    bound that would leave it do not move.
    """

    lr: float = option(0.05, "Learning rate, in units of the input's values.")
    decay: str = option("cosine", "cosine or none: whether the learning rate falls.")

    stops: ClassVar[bool] = True
    projects_start: ClassVar[bool] = True
    default_steps: ClassVar[int] = 300
    default_start: ClassVar[str] = "noise"

    def __post_init__(self) -> None:
        check_number("adam", "lr", self.lr, above=0)
        if self.decay not in ("cosine", "none"):
            raise RequestError(
                f"option 'decay' of method 'adam' must be cosine or none, not {self.decay!r}"
            )

    def begin(self, x: Tensor, passes: int) -> State:
        """Return zero moments, the powers of the bias corrections, and the share of passes done."""
        ones = per_row(x.new_ones(len(x)), x)
        return {
            "m": torch.zeros_like(x),
            "v": torch.zeros_like(x),
            "m_k": ones,
            "v_k": ones.clone(),
            "done": torch.zeros_like(ones),
            "pass": ones / passes,
        }

    def step(
        self,
        x: Tensor,
        error: Tensor,  # noqa: ARG002 - a Rule
        gradient: Tensor,
        state: State,
        domain: Domain,
        centre: Tensor | None,
    ) -> Tensor:
        """Take one step of Adam."""
        allowed = domain.free(x, gradient, centre)
        m = state["m"].lerp_(allowed, 1 - 0.9)
        v = state["v"].mul_(0.999).addcmul_(allowed, allowed, value=1 - 0.999)
        m_hat = m / torch.rsub(state["m_k"].mul_(0.9), 1)
        v_hat = v / torch.rsub(state["v_k"].mul_(0.999), 1)
        step = self.lr * m_hat / (v_hat.sqrt_() + SMALL)
        if self.decay == "cosine":
            step *= (1 + torch.cos(math.pi * state["done"])) / 2
        state["done"] += state["pass"]
        return x - step
