"""Sums over pairs of rows, from which linear HSIC follows; shifted so that large offsets cost no digits."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class _Cross:
    """Sums over pairs (u, v) of rows, with a = ‖u‖² and b = ‖v‖²."""

    uv: Tensor  # Σ u vᵀ, (d, e)
    av: Tensor  # Σ a v, (e)
    bu: Tensor  # Σ b u, (d)
    ab: float  # Σ a b

    @classmethod
    def of(cls, u: Tensor, v: Tensor) -> "_Cross":
        a, b = u.square().sum(1), v.square().sum(1)
        return cls(u.T @ v, a @ v, b @ u, float(a @ b))

    def __add__(self, other: "_Cross") -> "_Cross":
        return _Cross(
            self.uv + other.uv, self.av + other.av, self.bu + other.bu, self.ab + other.ab
        )

    def shifted(self, n: int, u: "_Side", v: "_Side", by: tuple[Tensor, Tensor]) -> "_Cross":
        """The same sums for u + δ and v + ε, (δ, ε) = `by`; `u` and `v` hold Σu, Σa and Σv, Σb before the shift."""
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
        uv = (
            self.uv
            + torch.outer(u.sum, eps)
            + torch.outer(delta, v.sum)
            + n * torch.outer(delta, eps)
        )
        new_a = u.squares + 2 * float(delta @ u.sum) + n * d
        new_b = v.squares + 2 * float(eps @ v.sum) + n * e
        av = self.av + 2 * delta @ self.uv + d * v.sum + new_a * eps
        bu = self.bu + 2 * self.uv @ eps + e * u.sum + new_b * delta
        return _Cross(uv, av, bu, ab)

    def hsic(self, n: int, squares: tuple[float, float], *, debiased: bool) -> float:
        """HSIC up to a factor that cancels in CKA; the sums must be centred. `squares`: Σa and Σb."""
        biased = float(self.uv.square().sum())
        if not debiased:
            return biased
        return biased - n / (n - 2) * self.ab + squares[0] * squares[1] / ((n - 1) * (n - 2))


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


@dataclass(frozen=True)
class Moments:
    """All sums over n pairs of rows (x, y), taken about `origin`, a point near the rows: float64, mergeable."""

    n: int
    origin: tuple[Tensor, Tensor]
    x: _Side
    y: _Side
    xy: _Cross
    xx: _Cross
    yy: _Cross

    @classmethod
    def of(cls, x: Tensor, y: Tensor, origin: tuple[Tensor, Tensor] | None = None) -> "Moments":
        """The sums over the rows of x (n, d) and y (n, e), float64; about the mean of the rows unless told otherwise."""
        origin = origin or (x.mean(0), y.mean(0))
        u, v = x - origin[0], y - origin[1]
        x_side, y_side = (_Side(s.sum(0), float(s.square().sum())) for s in (u, v))
        return cls(
            len(x), origin, x_side, y_side, _Cross.of(u, v), _Cross.of(u, u), _Cross.of(v, v)
        )

    @property
    def widths(self) -> tuple[int, ...]:
        """(d, e)."""
        return tuple(self.xy.uv.shape)

    def merge(self, other: "Moments") -> "Moments":
        """The sums over the rows of both."""
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

    def centred(self) -> "Moments":
        """The same rows' sums about their mean."""
        return self.about(
            (self.origin[0] + self.x.sum / self.n, self.origin[1] + self.y.sum / self.n)
        )

    def hsic(self, *, debiased: bool) -> tuple[float, float, float]:
        """HSIC of (x, y), (x, x) and (y, y); the sums must be centred."""
        a, b = self.x.squares, self.y.squares
        return (
            self.xy.hsic(self.n, (a, b), debiased=debiased),
            self.xx.hsic(self.n, (a, a), debiased=debiased),
            self.yy.hsic(self.n, (b, b), debiased=debiased),
        )

    @property
    def spread(self) -> tuple[float, ...]:
        """Root of the summed squared distances of the rows from `origin`, per side."""
        return tuple(max(side.squares, 0.0) ** 0.5 for side in (self.x, self.y))

    @property
    def size(self) -> tuple[float, ...]:
        """Root of the summed squared lengths of the rows themselves, per side, about; sums must be centred."""
        return tuple(
            (max(side.squares, 0.0) + self.n * float(mean @ mean)) ** 0.5
            for side, mean in zip((self.x, self.y), self.origin, strict=True)
        )
