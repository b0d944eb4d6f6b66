"""Sums over pairs of rows, from which linear HSIC follows: taken about a point near the rows, so
that a large offset costs no digits."""

import copy
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Sums:
    """What linear HSIC needs of n centred pairs of rows (u, v), with a = ‖u‖² and b = ‖v‖²."""

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
        """HSIC over Σ a Σ b, up to a factor of n; both cancel in CKA.

        Raises:
            ValueError: the products of the rows' squares leave the range of float64.
        """
        scale = self.a * self.b
        if not 1e-280 < scale < 1e280:
            raise ValueError("the values are too large or too small: scale them")
        if not debiased:
            return self.uv / scale
        n = self.n
        return self.uv / scale - n / (n - 2) * self.ab / scale + 1 / ((n - 1) * (n - 2))


@dataclass(frozen=True)
class PairSums:
    """The sums of (x, y), (x, x) and (y, y), and the size of the rows before they were centred."""

    xy: Sums
    xx: Sums
    yy: Sums
    size: tuple[float, float]
    """Root of the summed squared lengths of the rows of x and of y."""

    @classmethod
    def of_rows(cls, x: Tensor, y: Tensor) -> "PairSums":
        """From the n × n Gram matrices of rows x (n, d) and y (n, e), float64; the cheaper way
        while n ≤ d.
        """
        size = float(x.square().sum().sqrt()), float(y.square().sum().sqrt())
        u, v = x - x.mean(0), y - y.mean(0)
        k, m = u @ u.T, v @ v.T

        def sums(k: Tensor, m: Tensor) -> Sums:
            a, b = k.diagonal(), m.diagonal()
            return Sums(len(k), float(a.sum()), float(b.sum()), float(a @ b), float((k * m).sum()))

        return cls(sums(k, m), sums(k, k), sums(m, m), size)


BLOCK = 512
"""Columns of a block of a symmetric product: at 2048 columns this saves a third of the product's
time.
"""


def _add_product(total: Tensor, u: Tensor, v: Tensor) -> None:
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


@dataclass
class _Cross:
    """Sums over pairs (u, v) of rows, with a = ‖u‖² and b = ‖v‖²."""

    uv: Tensor  # Σ u vᵀ, (d, e)
    av: Tensor  # Σ a v, (e)
    bu: Tensor  # Σ b u, (d)
    ab: float  # Σ a b

    @classmethod
    def zeros(cls, d: int, e: int) -> "_Cross":
        uv, av, bu = (torch.zeros(shape, dtype=torch.float64) for shape in ((d, e), (e,), (d,)))
        return cls(uv, av, bu, 0.0)

    def add(self, u: Tensor, v: Tensor, a: Tensor, b: Tensor) -> None:
        """Add rows, in place."""
        _add_product(self.uv, u, v)
        self.av.addmv_(v.T, a)
        self.bu.addmv_(u.T, b)
        self.ab += float(a @ b)

    def __add__(self, other: "_Cross") -> "_Cross":
        return _Cross(
            self.uv + other.uv, self.av + other.av, self.bu + other.bu, self.ab + other.ab
        )

    def shifted(self, n: int, u: "_Side", v: "_Side", by: tuple[Tensor, Tensor]) -> "_Cross":
        """The same sums for u + δ and v + ε, (δ, ε) = `by`; `u` and `v` hold Σu, Σa and Σv, Σb
        before the shift.
        """
        (delta, eps), (d, e) = by, (float(t @ t) for t in by)
        ab = (
            self.ab
            + 2 * float(self.av @ eps)
            + e * u.squares
            + 2 * float(self.bu @ delta)
            + 4 * float(delta @ self.uv @ eps)
            + 2 * e * float(delta @ u.sum)
            + d * v.squares
            + 2 * d * float(eps @ v.sum)
            + n * d * e
        )
        uv = self.uv.addr(u.sum + n * delta, eps).addr_(delta, v.sum)
        new_a = u.squares + 2 * float(delta @ u.sum) + n * d
        new_b = v.squares + 2 * float(eps @ v.sum) + n * e
        av = self.av + 2 * delta @ self.uv + d * v.sum + new_a * eps
        bu = self.bu + 2 * self.uv @ eps + e * u.sum + new_b * delta
        return _Cross(uv, av, bu, ab)


@dataclass(frozen=True)
class _Side:
    """Sums over the rows of one side."""

    sum: Tensor  # Σ u, (d)
    squares: float  # Σ ‖u‖²

    def __add__(self, other: "_Side") -> "_Side":
        return _Side(self.sum + other.sum, self.squares + other.squares)

    def shifted(self, n: int, by: Tensor) -> "_Side":
        squares = self.squares + 2 * float(by @ self.sum) + n * float(by @ by)
        return _Side(self.sum + n * by, squares)


@dataclass
class Moments:
    """All sums over n pairs of rows (x, y), taken about `origin`, a point near the rows: float64,
    mergeable.
    """

    n: int
    origin: tuple[Tensor, Tensor]
    x: _Side
    y: _Side
    xy: _Cross
    xx: _Cross
    yy: _Cross

    @classmethod
    def about_mean(cls, x: Tensor, y: Tensor) -> "Moments":
        """No rows yet; the origin is the mean of x (n, d) and y (n, e), rows of any float dtype."""
        x_mean, y_mean = (s.mean(0, dtype=torch.float64) for s in (x, y))
        d, e = len(x_mean), len(y_mean)
        return cls(
            0,
            (x_mean, y_mean),
            _Side(torch.zeros_like(x_mean), 0.0),
            _Side(torch.zeros_like(y_mean), 0.0),
            xy=_Cross.zeros(d, e),
            xx=_Cross.zeros(d, d),
            yy=_Cross.zeros(e, e),
        )

    def add(self, x: Tensor, y: Tensor) -> None:
        """Add rows x (n, d) and y (n, e) of any float dtype, in place and about the origin:
        nothing is shifted later.
        """
        u, v = x.to(torch.float64) - self.origin[0], y.to(torch.float64) - self.origin[1]
        a, b = torch.linalg.vecdot(u, u), torch.linalg.vecdot(v, v)
        self.n += len(u)
        self.x += _Side(u.sum(0), float(a.sum()))
        self.y += _Side(v.sum(0), float(b.sum()))
        self.xy.add(u, v, a, b)
        self.xx.add(u, u, a, a)
        self.yy.add(v, v, b, b)

    def copy(self) -> "Moments":
        """The same sums, in memory of their own."""
        return copy.deepcopy(self)

    def merge(self, other: "Moments") -> "Moments":
        """The sums over the rows of both, about the origin of this one; new, both stay as they
        are.
        """
        other = other.about(self.origin)
        return Moments(
            self.n + other.n,
            self.origin,
            self.x + other.x,
            self.y + other.y,
            self.xy + other.xy,
            self.xx + other.xx,
            self.yy + other.yy,
        )

    def about(self, origin: tuple[Tensor, Tensor]) -> "Moments":
        """The same rows' sums about another point."""
        dx, dy = self.origin[0] - origin[0], self.origin[1] - origin[1]
        return replace(
            self,
            origin=origin,
            x=self.x.shifted(self.n, dx),
            y=self.y.shifted(self.n, dy),
            xy=self.xy.shifted(self.n, self.x, self.y, (dx, dy)),
            xx=self.xx.shifted(self.n, self.x, self.x, (dx, dx)),
            yy=self.yy.shifted(self.n, self.y, self.y, (dy, dy)),
        )

    def sums(self) -> PairSums:
        """The sums about the mean of the rows."""
        mean_x, mean_y = (
            origin + side.sum / self.n
            for origin, side in zip(self.origin, (self.x, self.y), strict=True)
        )
        centred = self.about((mean_x, mean_y))
        a, b = (max(side.squares, 0.0) for side in (centred.x, centred.y))

        def sums(cross: _Cross, a: float, b: float) -> Sums:
            return Sums(self.n, a, b, cross.ab, float(cross.uv.square().sum()))

        return PairSums(
            sums(centred.xy, a, b),
            sums(centred.xx, a, a),
            sums(centred.yy, b, b),
            (
                (a + self.n * float(mean_x @ mean_x)) ** 0.5,
                (b + self.n * float(mean_y @ mean_y)) ** 0.5,
            ),
        )
