"""CKA that is corrected for few rows and few columns (Chun et al. 2025, arXiv 2502.15104).

Columns count as a sample of the features of a system. A kernel's product with itself has pairs of
equal columns, which raise it; without them the product is unbiased over columns as well as over
rows:

    ⟨K, K⟩ ∝ (HSIC₁(XXᵀ, XXᵀ) - Σ_c HSIC₁(x_c x_cᵀ, x_c x_cᵀ)) / (d (d - 1)),
    ⟨K, L⟩ ∝ HSIC₁(XXᵀ, YYᵀ) / (d e).

For representations with all their features, as those of a network's layer are, use debiased linear
CKA. The correction makes the measure depend on the basis: it is invariant to permutations,
isotropic scaling and translation, not to rotation. As an unbiased ratio it may exceed 1. Cost as
linear CKA.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from stir_hf.similarity.kernels import Kernels
from stir_hf.similarity.measure import MEASURES, Bounds, Closer
from stir_hf.similarity.pairs import Pairs
from stir_hf.similarity.shared import OfPairs


@MEASURES.add("column_cka")
@dataclass(frozen=True)
class ColumnCKA(OfPairs):
    """CKA corrected for few rows and few columns (Chun et al. 2025)."""

    least_rows: ClassVar[int] = 4
    has_debiased: ClassVar[bool] = False
    bounds: ClassVar[Bounds] = (None, None)
    closer: ClassVar[Closer] = "larger"
    needs_rows: ClassVar[bool] = True

    def of(self, pairs: Pairs) -> float:
        """The corrected ratio, at most about 1."""
        pairs.check("column_cka", 4)
        x, y = pairs.centred()
        if min(x.shape[1], y.shape[1]) < 2:
            raise ValueError("column_cka needs at least 2 columns of each side")
        kernels = Kernels.linear(pairs)
        xx, yy = (
            (own.hsic() - _of_columns(rows)) * rows.shape[1] / (rows.shape[1] - 1)
            for own, rows in ((kernels.xx, x), (kernels.yy, y))
        )
        if min(xx, yy) <= 0:
            raise ValueError("column_cka is undefined: the columns of a side do not vary together")
        return kernels.xy.hsic() / math.sqrt(xx) / math.sqrt(yy)


def _of_columns(rows: Tensor) -> float:
    """Σ_c HSIC₁ of each column of centred rows with itself, up to a factor of n."""
    n, squares = len(rows), rows.square()
    second, fourth = squares.sum(0), squares.square().sum(0)
    found: Tensor = second.square() * (1 + 1 / ((n - 1) * (n - 2))) - n / (n - 2) * fourth
    return float(torch.sum(found))
