"""The update rule of model metamers."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, linalg

from stir_hf.engine.domain import Domain
from stir_hf.engine.rules.base import RULES, Rule, State, check_number
from stir_hf.engine.shapes import per_row
from stir_hf.errors import RequestError
from stir_hf.registry import option

MOST = 1_000_000
"""Limit of passes and pairs; that of the published pairs."""


@RULES.add("metamer")
@dataclass(frozen=True)
class Metamer(Rule):
    """Model metamers: steps of a fixed length, halved between runs of 3,000; the last image counts.

    x ← project(x - s g / (‖g‖₂ + 1e-10)), from 0.5 + N(0,1)/20, clamped to [0, 1]; s = 1 in the
    first run and half of that of the run before in each further one; 8 runs. Feather et al. 2023,
    "Model metamers reveal divergent invariances between biological and artificial neural
    networks"; their code `make_metamers_imagenet_16_category_val_400_only_save_metamer_layers.py`
    with `InversionLossLayer(normalize_loss=True)` and `L2Step`, whose ball of radius 1e5 around the
    first image of a run never binds. As in their code, the first run is not halved. The gradient is
    the true one, unless `fake_relu` passes it through the last ReLU before the layer as if that
    were the identity, as theirs does. An inversion is accepted or not
    (`stir_hf.scoring.acceptance`).
    """

    step_size: float = option(1.0, "Length of a step of the first run, in the L2 norm.")
    steps_per_run: int = option(3000, "Passes after which the length is halved.")
    pairs: int = option(1000, "Random pairs of originals that an accepted inversion must surpass.")
    fake_relu: bool = option(
        False, "Pass the gradient through the last ReLU unchanged.", neutral=False
    )

    stops: ClassVar[bool] = False
    projects_start: ClassVar[bool] = True
    default_restarts: ClassVar[str] = "1"
    default_steps: ClassVar[int] = 24_000
    default_start: ClassVar[str] = "grey:scale=0.05"

    def __post_init__(self) -> None:
        check_number("metamer", "step_size", self.step_size, above=0)
        for name in ("steps_per_run", "pairs"):
            if not 1 <= getattr(self, name) <= MOST:
                raise RequestError(
                    f"option {name!r} of method 'metamer' must be from 1 to {MOST}, not"
                    f" {getattr(self, name)!r}"
                )

    @property
    def keeps_last(self) -> bool:
        """True: the last iterate is the inversion, as with their `use_best=False`."""
        return True

    @property
    def straight(self) -> bool:
        """True if the gradient passes the last ReLU as if it were the identity."""
        return self.fake_relu

    def begin(self, x: Tensor, passes: int) -> State:  # noqa: ARG002 - a Rule
        """Return ages of 0 and the length of the first run, (b, 1, …) each.

        The lengths are kept as products: a vectorised pow rounds differently from one place of a
        batch to another.
        """
        ones = per_row(x.new_ones(len(x)), x)
        return {"age": torch.zeros_like(ones), "length": self.step_size * ones}

    def step(
        self,
        x: Tensor,
        error: Tensor,  # noqa: ARG002 - a Rule
        gradient: Tensor,
        state: State,
        domain: Domain,  # noqa: ARG002 - a Rule
        centre: Tensor | None,  # noqa: ARG002 - a Rule
    ) -> Tensor:
        """Take one normalised gradient step of the run's length."""
        norm = linalg.vector_norm(gradient, dim=tuple(range(1, x.ndim)), keepdim=True).add_(1e-10)
        moved: Tensor = x - (gradient / norm).mul_(state["length"])
        ended = state["age"].add_(1) % self.steps_per_run == 0
        state["length"].mul_(1 - 0.5 * ended)
        return moved
