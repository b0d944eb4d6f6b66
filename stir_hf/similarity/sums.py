"""Sums over pairs of rows from which linear HSIC follows; from rows, or from moments
(`moments.py`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

BLOCK = 512
"""Columns that are taken at a time: the rows' float64 copies stay small, and of a symmetric product
of 2048 columns a third of the time is saved.
"""

ROUNDED_OFF = 2.0**-40
"""HSIC relative to the sum of its terms, below which it is undefined: 4096 units of rounding of
float64, so that what is above has three digits at least.
"""


VISIBLE = 1e-3
"""The share of the whole spread above which columns that spread by rounding alone hide the others.
"""


@dataclass(frozen=True)
class Columns:
    """The spread and the size of the rows of one side, column by column."""

    spread: Tensor
    """Σ (x - mean)², (d)"""
    size: Tensor
    """Σ x², (d)"""

    def constant(self, resolution: float) -> bool:
        """Return True where every column is constant: it spreads by no more than `resolution` of
        its own size. A large one says nothing of the others.
        """
        return bool(self._rounded(resolution).all())

    def _rounded(self, resolution: float) -> Tensor:
        """The columns that spread by no more than rounding, (d), bool."""
        return (self.spread <= resolution**2 * self.size) & self.size.isfinite()

    def hidden_by(self, resolution: float) -> int | None:
        """Return the column that is constant but for rounding and spreads most, where such columns
        make up a visible part of the whole spread; None where they do not.
        """
        spread = self.spread * self._rounded(resolution)
        if not float(spread.sum()) > VISIBLE * float(self.spread.sum()):
            return None
        return int(spread.argmax())

    def noise(self, rounding: float) -> float:
        """Return the expected HSIC of a side with itself (up to a factor of n) that comes from
        values which are off by `rounding` of their column's size, each by itself, and by no more
        than the column spreads.

        For u + e in place of u, the sum over all i, j of (uᵢ·eⱼ + eᵢ·uⱼ + eᵢ·eⱼ)².
        """
        off = (rounding**2 * self.size).minimum(self.spread)
        return float((2 * self.spread + off) @ off)


@dataclass(frozen=True)
class Sums:
    """The sums that linear HSIC needs of n centred pairs of rows (u, v), with a = ‖u‖² and b =
    ‖v‖².
    """

    n: int
    a: float
    """Σ a"""
    b: float
    """Σ b"""
    ab: float
    """Σ a b"""
    uv: float
    """‖Σ u vᵀ‖²"""

    def hsic(self, *, debiased: bool) -> float:
        """Return HSIC over Σ a Σ b, up to a factor of n; both cancel in CKA.

        Raises:
            ValueError: the products of the rows' squares leave the range of float64.
        """
        products, own, mean = self._terms()
        return products - own + mean if debiased else products

    def defined(self, noise: float) -> bool:
        """Return True where the debiased HSIC of a side with itself, which cannot be negative, is
        more than its terms' rounding and more than `noise`, that of the values.
        """
        terms, scale = self._terms(), self.a * self.b
        return self.hsic(debiased=True) > max(ROUNDED_OFF * sum(terms), noise / scale)

    def _terms(self) -> tuple[float, float, float]:
        """The products of all pairs, those of each row with itself, and the mean of those."""
        scale = self.a * self.b
        if not 1e-280 < scale < 1e280:
            raise ValueError(
                "the representations are too large or too small to be squared: scale them"
            )
        n = self.n
        return self.uv / scale, n / (n - 2) * self.ab / scale, 1 / ((n - 1) * (n - 2))


@dataclass(frozen=True)
class PairSums:
    """The sums of (x, y), (x, x) and (y, y), and the columns of x and of y."""

    xy: Sums
    xx: Sums
    yy: Sums
    columns: tuple[Columns, Columns]

    @classmethod
    def of_rows(cls, x: Sequence[Tensor], y: Sequence[Tensor]) -> "PairSums":
        """From the n × n Gram matrices of rows x (n, d) and y (n, e), each in any number of pieces
        of any float dtype; the cheaper way while n ≤ d.
        """
        (k, of_x), (m, of_y) = _gram(x), _gram(y)

        def sums(k: Tensor, m: Tensor) -> Sums:
            a, b = k.diagonal(), m.diagonal()
            uv = float(k.flatten() @ m.flatten())
            return Sums(len(k), float(a.sum()), float(b.sum()), float(a @ b), uv)

        return cls(sums(k, m), sums(k, k), sums(m, m), (of_x, of_y))


def _gram(pieces: Sequence[Tensor]) -> tuple[Tensor, Columns]:
    """The products of all pairs of centred rows, float64, a block of columns at a time."""
    n, found = sum(len(piece) for piece in pieces), list[Columns]()
    gram = torch.zeros(n, n, dtype=torch.float64, device="cpu")
    for rows in _blocks(pieces):
        mean = rows.mean(0)
        u = rows.sub_(mean)
        left = u.mean(0)  # the mean's own rounding
        u.sub_(left)
        columns = u.T
        add_product(gram, columns, columns)
        spread = torch.linalg.vecdot(u, u, dim=0)
        found.append(Columns(spread, spread + n * (mean + left).square()))
    spread, size = (
        torch.cat(part) for part in zip(*((c.spread, c.size) for c in found), strict=True)
    )
    return gram, Columns(spread, size)


def _blocks(pieces: Sequence[Tensor]) -> Iterator[Tensor]:
    """Some columns of all rows at a time, float64, in memory of their own."""
    for start in range(0, pieces[0].shape[1], BLOCK):
        columns = slice(start, start + BLOCK)
        yield torch.cat([piece[:, columns].to(torch.float64) for piece in pieces])


def add_product(total: Tensor, u: Tensor, v: Tensor) -> None:
    """Add uᵀv in place; of u with itself, a symmetric product, only the blocks on and above the
    diagonal are multiplied.
    """
    if u is not v:
        total.addmm_(u.T, v)
        return
    for start in range(0, len(total), BLOCK):
        here, after = slice(start, start + BLOCK), slice(start + BLOCK, None)
        total[here, start:].addmm_(u[:, here].T, u[:, start:])
        total[after, here] = total[here, after].T
