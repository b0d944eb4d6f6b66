"""The protocol of objectives, and the regularisers that every objective can add."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from torch import Tensor

from stir_hf.engine.domain import Domain
from stir_hf.engine.objectives.terms import blurred, from_grey, variation
from stir_hf.errors import RequestError
from stir_hf.registry import Registry, option


@dataclass(frozen=True)
class Seen:
    """What an objective sees of a batch in one pass."""

    x: Tensor
    """The inputs (b, …)."""
    error: Tensor
    """(b,): the relative error of the reference, by which an inversion counts as converged."""
    representations: tuple[Tensor, ...]
    """Representations of the inputs (b, d): the reference's, then those of the further models."""
    targets: tuple[Tensor, ...]
    """Those of the originals, likewise."""
    domain: Domain
    """The constraint, with the axes of space and the bounds of the inputs."""


@dataclass(frozen=True)
class Objective(ABC):
    """A loss per row, which the descent minimises. The iterate with the least loss is kept."""

    tv: float = option(0.0, "Weight of the total variation.", neutral=0.0)
    l2: float = option(0.0, "Weight of the mean square distance from grey.", neutral=0.0)
    blur: float = option(
        0.0, "Weight of the mean square distance from the blurred input.", neutral=0.0
    )

    least_known: ClassVar[bool] = False
    """True if the least value is 0 without regularisers, as Polyak's step length needs."""

    def __post_init__(self) -> None:
        for name in ("tv", "l2", "blur"):
            check_option(self, name, least=0)

    @property
    def networks(self) -> tuple[Any, ...]:
        """The further models that it needs, as a user gives them."""
        return ()

    def of_networks(self, names: Sequence[str]) -> Self:
        """The same objective with other names for these models."""
        assert not names
        return self

    @property
    def least_is_zero(self) -> bool:
        """True if the least value is known to be 0."""
        return self.least_known and not self._terms

    @property
    def needs_space(self) -> bool:
        """True if it uses the axes of space."""
        return bool(self.tv or self.blur)

    @property
    def _terms(self) -> bool:
        return bool(self.tv or self.l2 or self.blur)

    @abstractmethod
    def distance(self, seen: Seen) -> Tensor:
        """The loss (b,) without regularisers, differentiable."""

    def left(self, seen: Seen) -> Tensor:
        """(b,): the error that ends a row when it is at most the tolerance, for an objective whose
        least value is 0; others never end a row.
        """
        return seen.error

    def loss(self, seen: Seen) -> Tensor:
        """The loss (b,): the distance plus the weighted regularisers."""
        loss, domain = self.distance(seen), seen.domain
        if self.tv:
            loss = loss + self.tv * variation(seen.x, domain.axes)
        if self.l2:
            loss = loss + self.l2 * from_grey(seen.x, domain.bounds)
        if self.blur:
            loss = loss + self.blur * blurred(seen.x, domain.axes)
        return loss


OBJECTIVES: Registry[Objective] = Registry("objective")


def check_option(part: Objective, name: str, *, least: float) -> None:
    """Raise RequestError unless an option is a finite number and at least `least`."""
    value = getattr(part, name)
    if not least <= value < float("inf"):
        raise RequestError(
            f"option {name!r} of objective {OBJECTIVES.name_of(part)!r} must be at least"
            f" {least:g} and finite, not {value!r}"
        )
