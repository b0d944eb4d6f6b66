"""Canonical correlations: SVCCA (Raghu et al. 2017) and PWCCA (Morcos, Raghu and Bengio 2018).

SVCCA keeps of each side the directions of largest variance that make up `variance` of the whole,
and takes the mean of their canonical correlations. PWCCA keeps all directions above rounding, and
weights each correlation by Σ_j |⟨h, x_j⟩|, how much of the columns x_j of the first side its
canonical variable h carries, so it is not symmetric. Both are invariant to rotation, isotropic
scaling and translation, PWCCA's correlations to any invertible linear map of Y. They need many more
rows than columns: with n ≤ d all correlations are 1. Cost O(n d² + d³).
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from stir_hf.errors import RequestError
from stir_hf.registry import option
from stir_hf.similarity.measure import MEASURES, Bounds, Closer
from stir_hf.similarity.pairs import Pairs, coordinates
from stir_hf.similarity.shared import OfPairs

ROUNDED_OFF = 1e-12
"""Share of the largest variance of a direction below which a direction is rounding."""


class _CCA(OfPairs):
    """Canonical correlations of the directions of both sides."""

    least_rows: ClassVar[int] = 3
    has_debiased: ClassVar[bool] = False
    bounds: ClassVar[Bounds] = (0.0, 1.0)
    closer: ClassVar[Closer] = "larger"


@MEASURES.add("svcca")
@dataclass(frozen=True)
class SVCCA(_CCA):
    """Mean canonical correlation of the main directions (Raghu et al. 2017)."""

    variance: float = option(0.99, "Share of the variance that is kept of each side.")

    def __post_init__(self) -> None:
        if not 0 < self.variance <= 1:
            raise RequestError(
                f"option 'variance' of measure 'svcca' must be above 0 and at most 1, not"
                f" {self.variance!r}"
            )

    def of(self, pairs: Pairs) -> float:
        """The mean correlation, in [0, 1]."""
        pairs.check("svcca", 3)
        xx, xy, yy = pairs.products()
        (u, a), (v, b) = _directions(xx, self.variance), _directions(yy, self.variance)
        correlations = torch.linalg.svdvals((u / a).T @ xy @ (v / b))
        return float(correlations.clamp(max=1).mean())


@MEASURES.add("pwcca")
@dataclass(frozen=True)
class PWCCA(_CCA):
    """Canonical correlations weighted by what they carry of the first side (Morcos et al. 2018)."""

    def of(self, pairs: Pairs) -> float:
        """The weighted mean correlation, in [0, 1]."""
        pairs.check("pwcca", 3)
        xx, xy, yy = pairs.products()
        (u, a), (v, b) = _directions(xx, 1), _directions(yy, 1)
        left, correlations, _ = torch.linalg.svd((u / a).T @ xy @ (v / b), full_matrices=False)
        # of unit canonical variables h = X (u / a) left, Σ_j |⟨h, x_j⟩| over the columns of X
        weights = (_columns(pairs, xx) @ (u / a) @ left).abs().sum(0)
        return float((weights * correlations.clamp(max=1)).sum() / weights.sum())


def _columns(pairs: Pairs, xx: Tensor) -> Tensor:
    """(d, k): the products of the columns of X with its coordinates."""
    if not pairs.wide:
        return xx
    x, _ = pairs.centred()
    return x.T @ coordinates(x)


def _directions(own: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """The main directions (d, k) of a side's products (d, d), and the lengths (k,) along them."""
    values, vectors = torch.linalg.eigh(own)
    values, vectors = values.flip(0).clamp(min=0), vectors.flip(1)
    kept = values > ROUNDED_OFF * values[0]
    before = values.cumsum(0) - values
    kept &= before < share * values.sum() * (1 - 1e-12)
    return vectors[:, kept], values[kept].sqrt()
