"""Measures of nearest neighbours: mutual k-nearest neighbours and CKNNA (Huh et al. 2024).

Neighbours are those of largest cosine. Mutual k-nearest neighbours is the share of the k
neighbours of a row that both sides agree on, on average over rows. CKNNA is debiased CKA of the
products of normalised rows where two rows are neighbours on both sides: with k = n - 1 it is that
CKA. Both are invariant to rotation and isotropic scaling, not to translation; of equal cosines, the
first row counts as nearer. Cost O(n² (d + e)) time and O(n²) memory.

Chance agrees on k / (n - 1) of the neighbours. The authors' code normalises rows before it calls
the same functions, and adds 1e-6 to CKNNA's divisor, which this does not.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from stir_hf.errors import as_count
from stir_hf.registry import option
from stir_hf.similarity.measure import MEASURES, Bounds, Closer
from stir_hf.similarity.pairs import Pairs
from stir_hf.similarity.shared import OfPairs


@dataclass(frozen=True)
class _Neighbours(OfPairs):
    """A measure of k neighbours."""

    k: int = option(10, "Number of neighbours, at least 2 and fewer than the rows.")

    has_debiased: ClassVar[bool] = False
    bounds: ClassVar[Bounds] = (None, None)
    closer: ClassVar[Closer] = "larger"
    needs_rows: ClassVar[bool] = True

    def __post_init__(self) -> None:
        as_count(f"option 'k' of measure {MEASURES.name_of(self)!r}", self.k, 2)

    @property
    def least_rows(self) -> int:
        """One row more than neighbours."""
        return max(4, self.k + 1)

    def found(self, pairs: Pairs) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """The cosines (n, n) of both sides, and masks (n, n) of the neighbours of each row."""
        name = MEASURES.name_of(self)
        pairs.check(f"{name} with k={self.k}", self.least_rows)
        x, y = (_cosines(rows, name) for rows in pairs.rows())
        return (x, y), (_nearest(x, self.k), _nearest(y, self.k))


@MEASURES.add("mutual_knn")
@dataclass(frozen=True)
class MutualKNN(_Neighbours):
    """Share of nearest neighbours that both sides agree on (Huh et al. 2024)."""

    bounds: ClassVar[Bounds] = (0.0, 1.0)

    def of(self, pairs: Pairs) -> float:
        """The share, in [0, 1]."""
        _, (x, y) = self.found(pairs)
        return float((x & y).sum()) / (self.k * pairs.n)


@MEASURES.add("cknna")
@dataclass(frozen=True)
class CKNNA(_Neighbours):
    """Debiased CKA over pairs that are neighbours on both sides (Huh et al. 2024)."""

    def of(self, pairs: Pairs) -> float:
        """The ratio; 1 of equal sides."""
        (x, y), (near_x, near_y) = self.found(pairs)
        both = near_x & near_y
        xy = _hsic(x * both, y * both)
        xx, yy = _hsic(x * near_x, x * near_x), _hsic(y * near_y, y * near_y)
        if min(xx, yy) <= 0:
            raise ValueError("cknna is undefined: the cosines of neighbours do not vary")
        return xy / math.sqrt(xx) / math.sqrt(yy)


def _hsic(k: Tensor, l: Tensor) -> float:  # noqa: E741
    """HSIC₁ of two kernels (n, n), which need not be symmetric, up to a factor of n."""
    n = len(k)
    sums = float(k.sum() * l.sum()) / ((n - 1) * (n - 2))
    return float((k * l.T).sum()) + sums - 2 / (n - 2) * float(k.sum(0) @ l.sum(1))


def _cosines(rows: Tensor, name: str) -> Tensor:
    """(n, n): the cosines of all pairs of rows, to 12 digits, so that equal ones stay equal; 0 on
    the diagonal.
    """
    norms = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    if not bool((norms > 0).all()):
        raise ValueError(f"{name} is undefined: a row is zero")
    rows = rows / norms
    return (rows @ rows.T).round_(decimals=12).fill_diagonal_(0)


def _nearest(cosines: Tensor, k: int) -> Tensor:
    """(n, n), bool: True for the k neighbours of each row."""
    far = cosines.clone().fill_diagonal_(-torch.inf)
    nearest = far.sort(dim=1, descending=True, stable=True).indices[:, :k]
    return torch.zeros_like(cosines, dtype=torch.bool).scatter_(1, nearest, value=True)
