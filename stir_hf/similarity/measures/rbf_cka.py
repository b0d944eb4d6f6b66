"""CKA with a Gaussian kernel (Kornblith et al. 2019, section 3) and its debiased form.

K_ij = exp(-‖x_i - x_j‖² / (2 σ²)), σ the median distance of two different rows of that side times
`bandwidth`. The median is taken over all rows, not per batch. Invariant to rotation, isotropic
scaling and translation of either side. Cost O(n² (d + e)) time and O(n²) memory.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stir_hf.errors import RequestError
from stir_hf.registry import option
from stir_hf.similarity.kernels import Kernels, permuted_grams
from stir_hf.similarity.measure import MEASURES, Bounds, Closer
from stir_hf.similarity.pairs import Pairs
from stir_hf.similarity.shared import OfPairs

SAME = 1e-7
"""Distance, over the root mean square length of centred rows, at which rows are equal."""


@MEASURES.add("rbf_cka")
@dataclass(frozen=True)
class RBFCKA(OfPairs):
    """CKA with a Gaussian kernel (Kornblith et al. 2019); debiased: Nguyen et al. 2021."""

    bandwidth: float = option(1.0, "Width of the kernel over the median distance of two rows.")

    least_rows: ClassVar[int] = 4
    has_debiased: ClassVar[bool] = True
    bounds: ClassVar[Bounds] = (0.0, 1.0)
    closer: ClassVar[Closer] = "larger"
    needs_rows: ClassVar[bool] = True
    has_interval: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 < self.bandwidth < math.inf:
            raise RequestError(
                "option 'bandwidth' of measure 'rbf_cka' must be above 0 and finite, not"
                f" {self.bandwidth!r}"
            )

    def of(self, pairs: Pairs) -> float:
        """CKA of the two kernels, in [0, 1]."""
        pairs.check("rbf_cka", 3)
        x, y = (_centred(k) for k in self._grams(pairs))
        found = (x * y).sum() / torch.linalg.vector_norm(x) / torch.linalg.vector_norm(y)
        return max(0.0, min(1.0, float(found)))

    def debiased_of(self, pairs: Pairs) -> float:
        """The debiased form, in [-1, 1]."""
        pairs.check("debiased rbf_cka", 4)
        return self.kernels(pairs).debiased()

    def kernels(self, pairs: Pairs) -> Kernels:
        """The kernels of both sides."""
        return Kernels.of_grams(*self._grams(pairs))

    def permuted(self, pairs: Pairs, orders: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
        """(K,): the values where the rows of the second side come in other orders (n,)."""
        pairs.check("rbf_cka", 3)
        x, y = (_centred(k) for k in self._grams(pairs))
        return permuted_grams((x, y), orders)

    def _grams(self, pairs: Pairs) -> tuple[Tensor, Tensor]:
        x, y = pairs.centred()
        return self._gram(x), self._gram(y)

    def _gram(self, rows: Tensor) -> Tensor:
        """(n, n): the kernel of centred rows."""
        squares = squared_distances(rows)
        above = squares[tuple(torch.triu_indices(len(rows), len(rows), 1))]
        median = median_of(above.sqrt_())
        if not median > SAME:
            raise ValueError("more than half of the rows are equal, so the kernel has no width")
        return squares.div_(-2 * (self.bandwidth * median) ** 2).exp_()


def squared_distances(rows: Tensor) -> Tensor:
    """(n, n): ‖x_i - x_j‖² of rows (n, d), at least 0, with a zero diagonal."""
    own = torch.linalg.vecdot(rows, rows)
    found = torch.addmm(own[:, None] + own, rows, rows.T, alpha=-2)
    return found.clamp_(min=0).fill_diagonal_(0)


def median_of(values: Tensor) -> float:
    """The median (n,) -> the mean of the two middle values if n is even."""
    middle = (len(values) - 1) // 2
    low = values.kthvalue(middle + 1).values
    high = low if len(values) % 2 else values.kthvalue(middle + 2).values
    return float(low + high) / 2


def _centred(gram: Tensor) -> Tensor:
    """H K H, H = 1 - 1/n."""
    rows = gram.mean(0)
    return gram - rows - rows[:, None] + rows.mean()
