"""Minibatch CKA (Nguyen, Raghu and Kornblith 2021, section 2.1): debiased HSIC by minibatches.

HSIC₁ of two sides, and of each with itself, is the mean over minibatches of the unbiased estimate
(eq. 3); their ratio is CKA. Rows are cut into minibatches in the order of the data, so the value
does not depend on the batches of a run. Minibatches of unequal size count by their rows; a last one
with fewer than 4 rows, whose estimate is undefined, joins the one before. The paper has equal ones.
Invariant to rotation, isotropic scaling and translation of either side. Cost O(n b (d + e)).
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from stir_hf.errors import as_count
from stir_hf.registry import option
from stir_hf.similarity.kernels import Kernels
from stir_hf.similarity.measure import MEASURES, Bounds, Closer
from stir_hf.similarity.pairs import Pairs
from stir_hf.similarity.shared import OfPairs

LEAST = 4
"""The least number of rows of which HSIC₁ is defined."""


@MEASURES.add("minibatch_cka")
@dataclass(frozen=True)
class MinibatchCKA(OfPairs):
    """Debiased CKA from minibatches (Nguyen et al. 2021), for comparison with published values."""

    rows: int = option(256, "Rows of a minibatch, at least 4.")

    least_rows: ClassVar[int] = LEAST
    has_debiased: ClassVar[bool] = False
    bounds: ClassVar[Bounds] = (-1.0, 1.0)
    closer: ClassVar[Closer] = "larger"
    needs_rows: ClassVar[bool] = True

    def __post_init__(self) -> None:
        as_count("option 'rows' of measure 'minibatch_cka'", self.rows, LEAST)

    def of(self, pairs: Pairs) -> float:
        """The ratio of mean estimates, in [-1, 1]."""
        pairs.check("minibatch_cka", LEAST)
        x, y = pairs.centred()
        total = torch.zeros(3, dtype=torch.float64)
        for piece in self.pieces(pairs.n):
            u, v = x[piece], y[piece]
            kernels = Kernels.of_grams(u @ u.T, v @ v.T)
            count = len(u)
            # HSIC₁ is the sum over n (n - 3); times the number of rows
            parts = (kernels.xy, kernels.xx, kernels.yy)
            total += total.new_tensor([part.hsic() / (count - 3) for part in parts])
        xy, xx, yy = map(float, total)
        if min(xx, yy) <= 0:
            raise ValueError("the minibatches have too few rows that differ; give more rows")
        return max(-1.0, min(1.0, xy / math.sqrt(xx) / math.sqrt(yy)))

    def pieces(self, n: int) -> list[slice]:
        """The rows of each minibatch."""
        ends = list(range(self.rows, n, self.rows))
        if ends and n - ends[-1] < LEAST:
            ends.pop()
        return [slice(a, b) for a, b in zip([0, *ends], [*ends, n], strict=True)]
