"""Linear CKA (Kornblith et al. 2019) and its debiased form, exact in float64, in one pass over the
data.

With centred columns, CKA(X, Y) = ‖XᵀY‖² / (‖XᵀX‖ ‖YᵀY‖). The debiased form replaces each ‖XᵀY‖² by
the unbiased estimate of HSIC of Song et al. 2012 (eq. 5; used for CKA by Nguyen et al. 2021, eq.
3). For linear kernels this needs no n × n matrix: with a, b the squared lengths of the centred
rows,

    HSIC₁ ∝ ‖XᵀY‖² - n/(n-2) Σ a b + Σa Σb / ((n-1)(n-2)).

Both are invariant to rotation, isotropic scaling and translation of either side. CKA lies in [0,
1] and is biased upwards when there are few rows (independent Gaussians of 512 dimensions: 0.83 at
n = 100); the debiased form is centred on 0 for unrelated inputs and lies in [-1, 1], since HSIC₁ is
an inner product (Székely and Rizzo 2014). It is undefined where HSIC₁ of a side with itself is 0:
where the squared distance of any two rows is a sum of one number for each of them, as of rows that
are equal but for one. Cost O(n d²) time and O(d²) memory, or O(n² d) and O(n d) while n ≤ d.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from stir_hf.similarity.kernels import Kernels, permuted_grams
from stir_hf.similarity.measure import MEASURES, Bounds, Closer
from stir_hf.similarity.pairs import CHUNK, Pairs
from stir_hf.similarity.shared import Measured, OfPairs


class LinearCKA(Measured):
    """Linear CKA and debiased CKA of rows that come in batches; merges with other accumulators.

    cka = LinearCKA()
    cka.update(x, y)              # (b, d), (b, e), any float dtype, any device
    cka.value(), cka.debiased()
    """

    def __init__(self, *, chunk: int = CHUNK) -> None:
        super().__init__(LinearCKAMeasure(), chunk=chunk)


@MEASURES.add("linear_cka")
@dataclass(frozen=True)
class LinearCKAMeasure(OfPairs):
    """Linear CKA (Kornblith et al. 2019); debiased: Nguyen et al. 2021."""

    least_rows: ClassVar[int] = 4
    has_debiased: ClassVar[bool] = True
    bounds: ClassVar[Bounds] = (0.0, 1.0)
    closer: ClassVar[Closer] = "larger"
    has_interval: ClassVar[bool] = True

    def of(self, pairs: Pairs) -> float:
        """Linear CKA, in [0, 1], of at least 3 rows."""
        pairs.check("linear_cka", 3)
        return _ratio(pairs, debiased=False)

    def debiased_of(self, pairs: Pairs) -> float:
        """Debiased linear CKA, in [-1, 1]: 0 on average for unrelated inputs."""
        pairs.check("debiased_cka", 4, debiased=True)
        return _ratio(pairs, debiased=True)

    def kernels(self, pairs: Pairs) -> Kernels:
        """The products of centred rows."""
        return Kernels.linear(pairs)

    def permuted(self, pairs: Pairs, orders: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
        """(K,): the values where the rows of the second side come in other orders (n,)."""
        pairs.check("linear_cka", 3)
        x, y = pairs.centred()
        if pairs.wide:
            return permuted_grams((x @ x.T, y @ y.T), orders)
        xx, _, yy = pairs.products()
        own = torch.linalg.vector_norm(xx) * torch.linalg.vector_norm(yy)
        found = (x.T @ y[torch.from_numpy(order)] for order in orders)
        return np.array([float(xy.square().sum() / own) for xy in found])

    def accumulator(self) -> LinearCKA:
        """A new accumulator that has seen no rows."""
        return LinearCKA()


def _ratio(pairs: Pairs, *, debiased: bool) -> float:
    sums = pairs.sums()
    xy, xx, yy = (part.hsic(debiased=debiased) for part in (sums.xy, sums.xx, sums.yy))
    return max(-1.0, min(1.0, xy / math.sqrt(xx) / math.sqrt(yy)))


def linear_cka(x: Any, y: Any) -> float:
    """Linear CKA of x (n, d) and y (n, e), in [0, 1]; Kornblith et al. 2019, eq. 3. Computed in
    float64.

    Raises:
        ValueError: rows that do not match, fewer than 3 of them, values that are not finite, or a
            constant side (`ConstantError`).
    """
    return LinearCKAMeasure().between(x, y)


def debiased_cka(x: Any, y: Any) -> float:
    """Debiased linear CKA of x (n, d) and y (n, e); Nguyen et al. 2021, eq. 3. May be negative.
    Computed in float64.

    Raises:
        ValueError: as `linear_cka`, with at least 4 rows.
    """
    return LinearCKAMeasure().debiased_between(x, y)
