"""Objectives of several models."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from stir_hf.engine.objectives.base import OBJECTIVES, Seen, check_option
from stir_hf.engine.objectives.error import OfNorm, relative_error
from stir_hf.errors import RequestError, check_choice
from stir_hf.registry import option

LEAST = 1e-12
"""Smallest divisor of a ratio."""


@dataclass(frozen=True)
class _Several(OfNorm):
    """An objective of the relative errors of the reference and of further models."""

    def errors(self, seen: Seen) -> list[Tensor]:
        """The relative errors (b,) in the p-norm, the reference's first."""
        pairs = list(zip(seen.representations, seen.targets, strict=True))
        if self.power == 2:
            return [seen.error, *(relative_error(*pair) for pair in pairs[1:])]
        return [relative_error(*pair, self.power) for pair in pairs]


@OBJECTIVES.add("controversial")
@dataclass(frozen=True)
class Controversial(_Several):
    """The same for the reference, different for a second model: r₁ - beta r₂, r relative errors.

    The original's `ControversialStimuliLoss`; after Golan, Raju and Kriegeskorte 2020. With
    `form=ratio` the loss is r₁ / r₂: its gradient has the direction of the original's `LPNormLoss`,
    which divides r₁ by the ratio of the two in the batch; here each row has its own.
    """

    model: Any = option("", "The second model: a Hub id, id@revision or a folder.", network=True)
    beta: float = option(0.1, "Weight of the second model's error.")
    form: str = option("difference", "difference or ratio.", neutral="difference")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_option(self, "beta", least=0)
        check_choice("form", self.form, ("difference", "ratio"))
        if not self.model:
            raise RequestError(
                "objective 'controversial' needs a second model: controversial:model=ID_OR_FOLDER"
            )

    @property
    def networks(self) -> tuple[Any, ...]:
        """The second model."""
        return (self.model,)

    def of_networks(self, names: Sequence[str]) -> Self:
        """The same objective with another name for its model."""
        return replace(self, model=names[0])

    def distance(self, seen: Seen) -> Tensor:
        """Return the difference, or the ratio, of the two errors."""
        own, other = self.errors(seen)
        return own - self.beta * other if self.form == "difference" else own / (other + LEAST)


@OBJECTIVES.add("ensemble")
@dataclass(frozen=True)
class Ensemble(_Several):
    """One input that several models represent alike: the mean or the worst of their errors."""

    models: Any = option(
        "", "The models beside the reference, joined by +: Hub ids or folders.", network=True
    )
    of: str = option("mean", "mean or worst of the errors.", neutral="mean")

    least_known: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("of", self.of, ("mean", "worst"))
        if not self.networks:
            raise RequestError("objective 'ensemble' needs models: ensemble:models=ID+ID_OR_FOLDER")

    @property
    def networks(self) -> tuple[Any, ...]:
        """The models beside the reference."""
        given = self.models
        if isinstance(given, str):
            return tuple(name for name in given.split("+") if name)
        return tuple(given) if isinstance(given, list | tuple) else (given,)

    def of_networks(self, names: Sequence[str]) -> Self:
        """The same objective with other names for its models."""
        return replace(self, models="+".join(names))

    def distance(self, seen: Seen) -> Tensor:
        """Return the mean or the worst error."""
        errors = torch.stack(self.errors(seen))
        return errors.mean(0) if self.of == "mean" else errors.amax(0)

    def left(self, seen: Seen) -> Tensor:
        """(b,): the worst error, so that a row ends when every model is within the tolerance."""
        return torch.stack(self.errors(seen)).amax(0)
