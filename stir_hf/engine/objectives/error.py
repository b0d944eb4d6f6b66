"""The relative error, which is the default objective and the measure of convergence."""

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, finfo, linalg

from stir_hf.engine.objectives.base import OBJECTIVES, Objective, Seen
from stir_hf.errors import RequestError
from stir_hf.registry import option


def relative_error(representation: Tensor, target: Tensor, p: float = 2) -> Tensor:
    """‖f(x') - t‖ₚ / ‖t‖ₚ per row, (b, d) and (b, d) -> (b,): the paper's loss (its code,
    `LPNormLossSingleModel`).
    """
    if p in (1, 2, math.inf):
        distance = linalg.vector_norm(representation - target, ord=p, dim=1)
        error: Tensor = distance / linalg.vector_norm(target, ord=p, dim=1)
        return error
    return _norm(representation - target, p) / _norm(target, p)


def _norm(rows: Tensor, p: float) -> Tensor:
    """‖v‖ₚ per row, over the largest value, since powers of values leave the range of floats."""
    largest = rows.detach().abs().amax(1, keepdim=True).clamp_min(finfo(rows.dtype).tiny)
    found: Tensor = linalg.vector_norm(rows / largest, ord=p, dim=1)
    return found * largest[:, 0]


@dataclass(frozen=True)
class OfNorm(Objective):
    """An objective that measures distances in a p-norm."""

    p: str = option("2", "Norm of the distance: a number from 1 on, or inf.", neutral="2")

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            power = float(str(self.p).replace("∞", "inf"))
        except ValueError:
            power = math.nan
        if not power >= 1:
            raise RequestError(
                f"option 'p' of objective {OBJECTIVES.name_of(self)!r} must be a number from 1 on,"
                f" or inf, not {self.p!r}"
            )
        object.__setattr__(self, "p", f"{power:g}")

    @property
    def power(self) -> float:
        """The norm as a number."""
        return float(self.p)


@OBJECTIVES.add("relative_error")
@dataclass(frozen=True)
class RelativeError(OfNorm):
    """‖f(x') - f(x)‖ / ‖f(x)‖, the paper's loss; in the L2 norm it is the error reported."""

    least_known: ClassVar[bool] = True

    def distance(self, seen: Seen) -> Tensor:
        """Return the relative error in the p-norm."""
        if self.power == 2:
            return seen.error
        return relative_error(seen.representations[0], seen.targets[0], self.power)
