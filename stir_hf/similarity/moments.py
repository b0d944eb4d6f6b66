"""Sums over pairs of rows, from which linear HSIC follows: taken about a point near the rows, so
that a large offset costs no digits."""

from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from stir_hf.similarity.sums import Columns, PairSums, Sums, add_product


@dataclass
class _Cross:
    """Sums over pairs (u, v) of rows, with a = ‖u‖² and b = ‖v‖²."""

    uv: Tensor  # Σ u vᵀ, (d, e)
    av: Tensor  # Σ a v, (e)
    bu: Tensor  # Σ b u, (d)
    ab: float  # Σ a b

    @classmethod
    def zeros(cls, d: int, e: int) -> "_Cross":
        zeros = partial(torch.zeros, dtype=torch.float64, device="cpu")
        uv, av, bu = (zeros(shape) for shape in ((d, e), (e,), (d,)))
        return cls(uv, av, bu, 0.0)

    def add(self, u: Tensor, v: Tensor, a: Tensor, b: Tensor) -> None:
        """Add rows, in place."""
        add_product(self.uv, u, v)
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
        """Return empty moments about the mean of x (n, d) and y (n, e), rows of any float dtype."""
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

    def merge(self, other: "Moments") -> "Moments":
        """The sums over the rows of both, about the origin of this one; both stay as they are."""
        x, y = (theirs - own for theirs, own in zip(other.origin, self.origin, strict=True))
        other = other._shifted((x, y))
        return Moments(
            self.n + other.n,
            self.origin,
            self.x + other.x,
            self.y + other.y,
            self.xy + other.xy,
            self.xx + other.xx,
            self.yy + other.yy,
        )

    def _shifted(self, by: tuple[Tensor, Tensor]) -> "Moments":
        """The sums for u + δ and v + ε, (δ, ε) = `by`; the origin is left as it was."""
        dx, dy = by
        return replace(
            self,
            x=self.x.shifted(self.n, dx),
            y=self.y.shifted(self.n, dy),
            xy=self.xy.shifted(self.n, self.x, self.y, (dx, dy)),
            xx=self.xx.shifted(self.n, self.x, self.x, (dx, dx)),
            yy=self.yy.shifted(self.n, self.y, self.y, (dy, dy)),
        )

    def centred(self) -> "Moments":
        """The same sums about the mean of the rows."""
        from_x, from_y = self.x.sum / self.n, self.y.sum / self.n  # the origin, which may be long
        origin = self.origin[0] + from_x, self.origin[1] + from_y
        return replace(self._shifted((-from_x, -from_y)), origin=origin)

    def sums(self) -> PairSums:
        """The sums about the mean of the rows."""
        centred = self.centred()
        a, b = (max(side.squares, 0.0) for side in (centred.x, centred.y))

        def sums(cross: _Cross, a: float, b: float) -> Sums:
            return Sums(self.n, a, b, cross.ab, float(cross.uv.square().sum()))

        def columns(cross: _Cross, mean: Tensor) -> Columns:
            spread = cross.uv.diagonal().clamp(min=0)
            return Columns(spread, spread + self.n * mean.square())

        return PairSums(
            sums(centred.xy, a, b),
            sums(centred.xx, a, a),
            sums(centred.yy, b, b),
            (
                columns(centred.xx, centred.origin[0]),
                columns(centred.yy, centred.origin[1]),
            ),
        )
