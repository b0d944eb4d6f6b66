"""Kernels of rows, and the unbiased HSIC of two of them with and without some rows.

HSIC₁ of kernels K and L with zero diagonals (Song et al. 2012, eq. 5), with k and l their row sums
and a_i = Σ_j K_ij L_ij, is in proportion to

    Σa + Σk Σl / ((n-1)(n-2)) - 2/(n-2) k·l.

Without rows G it is the same of the rows that are left, whose sums follow from those of all rows,
so that all n values without one row cost about as much as the whole.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stir_hf.similarity.pairs import CHUNK, Pairs


@dataclass(frozen=True)
class Products:
    """Sums over the products of two kernels K and L, row by row, (n,) each."""

    a: Tensor
    """Σ_j K_ij L_ij"""
    k: Tensor
    """Σ_j K_ij"""
    l: Tensor  # noqa: E741 - the name of the literature
    """Σ_j L_ij"""
    kl: Tensor
    """K l"""
    lk: Tensor
    """L k"""

    def hsic(self) -> float:
        """HSIC₁ of all rows, up to a factor of n."""
        n, k, l = len(self.a), self.k, self.l  # noqa: E741
        sums = float(k.sum() * l.sum()) / ((n - 1) * (n - 2))
        return float(self.a.sum()) + sums - 2 / (n - 2) * float(k @ l)

    def without_each(self) -> Tensor:
        """(n,): HSIC₁ without each row, up to a factor of n."""
        m, a, k, l = len(self.a) - 1, self.a, self.k, self.l  # noqa: E741
        sums = (k.sum() - 2 * k) * (l.sum() - 2 * l)
        both = k @ l - k * l - self.kl - self.lk + a
        return a.sum() - 2 * a + sums / ((m - 1) * (m - 2)) - 2 / (m - 2) * both

    def without(self, rows: Tensor, of_x: Tensor, of_y: Tensor) -> float:
        """HSIC₁ without some rows (g,), up to a factor of n, from their columns (n, g) of K and
        of L.
        """
        m, k, l = len(self.a) - len(rows), self.k, self.l  # noqa: E741
        g, h, own_x, own_y = of_x.sum(1), of_y.sum(1), of_x[rows], of_y[rows]
        a = self.a.sum() - 2 * self.a[rows].sum() + (own_x * own_y).sum()
        sum_x, sum_y = k.sum() - 2 * k[rows].sum(), l.sum() - 2 * l[rows].sum()
        sums = (sum_x + own_x.sum()) * (sum_y + own_y.sum())
        left = (k - g) * (l - h)
        both = left.sum() - left[rows].sum()
        return float(a + sums / ((m - 1) * (m - 2)) - 2 / (m - 2) * both)


@dataclass(frozen=True)
class Kernels:
    """The kernels K and L of both sides, with zero diagonals."""

    xy: Products
    xx: Products
    yy: Products
    columns: Callable[[Tensor], tuple[Tensor, Tensor]]
    """Function from rows (g,) to their columns (n, g) of K and of L."""

    @classmethod
    def of_grams(cls, k: Tensor, l: Tensor) -> "Kernels":  # noqa: E741
        """From matrices (n, n), float64, whose diagonals are set to 0."""
        grams = k.fill_diagonal_(0), l.fill_diagonal_(0)
        sums = k.sum(1), l.sum(1)

        def products(i: int, j: int) -> Products:
            a = torch.linalg.vecdot(grams[i], grams[j])
            return Products(a, sums[i], sums[j], grams[i] @ sums[j], grams[j] @ sums[i])

        return cls(
            products(0, 1), products(0, 0), products(1, 1), lambda rows: (k[:, rows], l[:, rows])
        )

    @classmethod
    def linear(cls, pairs: Pairs) -> "Kernels":
        """The products of centred rows: from matrices where there are no more rows than columns,
        otherwise in a pass over the rows, in O(n d e).
        """
        x, y = pairs.centred()
        if pairs.wide:
            return cls.of_grams(x @ x.T, y @ y.T)
        moments = pairs.moments()
        a, b = (math.sqrt(side.squares / pairs.n) for side in (moments.x, moments.y))
        return cls(
            _of_rows(x, y, moments.xy.uv / (a * b)),
            _of_rows(x, x, moments.xx.uv / (a * a)),
            _of_rows(y, y, moments.yy.uv / (b * b)),
            lambda rows: (_off(x, rows), _off(y, rows)),
        )

    def debiased(self) -> float:
        """HSIC₁(K, L) / √(HSIC₁(K, K) HSIC₁(L, L)): debiased CKA, in [-1, 1]."""
        xy, xx, yy = (products.hsic() for products in (self.xy, self.xx, self.yy))
        return max(-1.0, min(1.0, xy / math.sqrt(xx) / math.sqrt(yy)))

    def debiased_without(self, clusters: Sequence[Tensor]) -> Tensor:
        """(c,): the same without each cluster of rows (g,); at least 4 rows stay.

        Raises:
            ValueError: the rows that stay have no such value, since HSIC₁ of a side is 0.
        """
        parts = (self.xy, self.xx, self.yy)
        first = torch.tensor([int(rows[0]) for rows in clusters])
        found = torch.stack([part.without_each()[first] for part in parts])
        for i, rows in enumerate(clusters):
            if len(rows) > 1:
                x, y = self.columns(rows)
                sides = ((x, y), (x, x), (y, y))
                left = [p.without(rows, *of) for p, of in zip(parts, sides, strict=True)]
                found[:, i] = found.new_tensor(left)
        xy, xx, yy = found
        if not bool(((xx > 0) & (yy > 0)).all()):
            raise ValueError("without some of the rows the measure is undefined")
        ratios: Tensor = (xy / xx.sqrt() / yy.sqrt()).clamp(-1, 1)
        return ratios


def clusters_of(labels: Sequence[int] | NDArray[Any]) -> list[Tensor]:
    """The rows (g,) of each cluster, in ascending order of the labels (n,)."""
    labels = np.asarray(labels)
    order = np.argsort(labels, kind="stable")
    _, first = np.unique(labels[order], return_index=True)
    return [torch.from_numpy(rows) for rows in np.split(order, first[1:])]


def permuted_grams(
    grams: tuple[Tensor, Tensor], orders: Sequence[NDArray[np.int64]]
) -> NDArray[np.float64]:
    """(K,): cosines of centred kernels (n, n), the rows of the second in other orders (n,)."""
    x, y = grams
    own = torch.linalg.vector_norm(x) * torch.linalg.vector_norm(y)
    places = map(torch.from_numpy, orders)
    return np.array([float((x * y[at][:, at]).sum() / own) for at in places])


def _of_rows(u: Tensor, v: Tensor, cross: Tensor) -> Products:
    """The sums over products of rows (n, d) and (n, e), with their uᵀv."""
    own_u, own_v = (torch.linalg.vecdot(rows, rows) for rows in (u, v))
    k, l = u @ u.sum(0) - own_u, v @ v.sum(0) - own_v  # noqa: E741
    pieces = zip(torch.split(u, CHUNK), torch.split(v, CHUNK), strict=True)
    a: Tensor = torch.cat([torch.linalg.vecdot(p @ cross, others) for p, others in pieces])
    kl, lk = u @ (u.T @ l) - own_u * l, v @ (v.T @ k) - own_v * k
    return Products(a - own_u * own_v, k, l, kl, lk)


def _off(rows: Tensor, some: Tensor) -> Tensor:
    """(n, g): the products of all rows with some of them, without those of a row with itself."""
    found = rows @ rows[some].T
    found[some, torch.arange(len(some))] = 0
    return found
