"""Linear CKA (Kornblith et al. 2019) and its debiased form, exact in float64, in one pass over the data.

With centred columns, CKA(X, Y) = ‖XᵀY‖² / (‖XᵀX‖ ‖YᵀY‖). The debiased form replaces each ‖XᵀY‖² by the unbiased
estimate of HSIC of Song et al. 2012 (eq. 5; used for CKA by Nguyen et al. 2021, eq. 3). For linear kernels this needs
no n × n matrix: with a, b the squared lengths of the centred rows,

    HSIC₁ ∝ ‖XᵀY‖² - n/(n-2) Σ a b + Σa Σb / ((n-1)(n-2)).

Both are invariant to rotation, isotropic scaling and translation of either side. CKA lies in [0, 1] and is biased upwards
when there are few rows (independent Gaussians of 512 dimensions: 0.83 at n = 100); the debiased form is centred on 0 for
unrelated inputs and may be negative. Cost O(n d²) time and O(d²) memory, or O(n² d) and O(n d) while n ≤ d.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from stir_hf.similarity.moments import Moments

LEAST_ROWS = {"linear_cka": 3, "debiased_cka": 4}
"""The least number of rows for which each measure is defined and says anything."""


@dataclass(frozen=True)
class HSIC:
    """The three sums that CKA is made of, for a pair (X, Y): of (X, Y), (X, X) and (Y, Y)."""

    xy: float
    xx: float
    yy: float

    def ratio(self) -> float:
        """`xy / √(xx yy)`.

        Raises:
            ValueError: `xx` or `yy` is not positive.
        """
        if self.xx <= 0 or self.yy <= 0:
            raise ValueError("the debiased measure is undefined here: too few or nearly equal rows")
        return self.xy / math.sqrt(self.xx) / math.sqrt(self.yy)


class LinearCKA:
    """Linear CKA and debiased CKA of rows that come in batches; merges with other accumulators.

    Rows are kept while there are no more of them than columns (then the n × n form is the cheaper one), and folded into
    sums of size d² after that. The result does not depend on how the rows were cut into batches, nor on their order.

        cka = LinearCKA()
        cka.update(x, y)              # (b, d), (b, e), any float dtype
        cka.biased(), cka.debiased()
    """

    def __init__(self) -> None:
        self.n = 0
        self._rows: list[tuple[Tensor, Tensor]] = []
        self._moments: Moments | None = None
        self._resolution = 0.0

    def update(self, x: Any, y: Any) -> None:
        """Add b rows: x of shape (b, d), y of shape (b, e), arrays or tensors.

        Raises:
            ValueError: shapes that do not fit each other or the rows before, or values that are not finite.
        """
        resolution = max(_resolution(x), _resolution(y))
        rows = _rows(x), _rows(y)
        if len(rows[0]) != len(rows[1]):
            raise ValueError(
                f"x has {len(rows[0])} rows and y has {len(rows[1])}; row i of both must be the same input"
            )
        if len(rows[0]):
            self._check_width(rows)
            self._resolution = max(self._resolution, resolution)
            self.n += len(rows[0])
            self._rows.append(rows)
            if self._moments is not None or self.n > max(rows[0].shape[1], rows[1].shape[1]):
                self._fold()

    def merge(self, other: "LinearCKA") -> None:
        """Add the rows that `other` has seen."""
        if other._moments is not None:
            self._fold()
            self._moments = (
                other._moments if self._moments is None else self._moments.merge(other._moments)
            )
            self.n += other._moments.n
            self._resolution = max(self._resolution, other._resolution)
        for x, y in other._rows:
            self.update(x, y)

    def biased(self) -> float:
        """Linear CKA, in [0, 1].

        Raises:
            ValueError: fewer than 3 rows, or a side whose rows are all the same.
        """
        self._check_rows("linear_cka")
        return min(1.0, self._hsic(debiased=False).ratio())

    def debiased(self) -> float:
        """Debiased linear CKA: 0 on average for unrelated inputs, at most 1 up to sampling error.

        Raises:
            ValueError: fewer than 4 rows, a side whose rows are all the same, or so few distinct rows that the unbiased
                HSIC of a side with itself is not positive.
        """
        self._check_rows("debiased_cka")
        return self._hsic(debiased=True).ratio()

    def _check_rows(self, measure: str) -> None:
        if self.n < LEAST_ROWS[measure]:
            raise ValueError(f"{measure} needs at least {LEAST_ROWS[measure]} rows, not {self.n}")

    def _check_width(self, rows: tuple[Tensor, Tensor]) -> None:
        widths = tuple(side.shape[1] for side in rows)
        seen = (
            self._moments.widths
            if self._moments
            else tuple(s.shape[1] for s in self._rows[0])
            if self._rows
            else widths
        )
        if widths != seen:
            raise ValueError(f"rows of widths {widths} after rows of widths {seen}")

    def _fold(self) -> None:
        """Turn the rows that are kept into sums."""
        if self._rows:
            x, y = (torch.cat(side) for side in zip(*self._rows, strict=True))
            new = Moments.of(x, y, origin=self._moments.origin if self._moments else None)
            self._moments = new if self._moments is None else self._moments.merge(new)
            self._rows = []

    def _hsic(self, *, debiased: bool) -> HSIC:
        if self._moments is not None:
            self._fold()
            parts = self._moments.centred()
            spread, size = parts.spread, parts.size
            hsic = HSIC(*parts.hsic(debiased=debiased))
        else:
            sides = [torch.cat(side) for side in zip(*self._rows, strict=True)]
            size = tuple(float(s.square().sum().sqrt()) for s in sides)
            sides = [s - s.mean(0) for s in sides]
            spread = tuple(float(s.square().sum().sqrt()) for s in sides)
            hsic = _hsic_from_rows(*sides, debiased=debiased)
        for name, a, b in zip("xy", spread, size, strict=True):
            if a <= self._resolution * b:
                raise ValueError(
                    f"CKA is undefined: all rows of {name} are the same (a constant representation)"
                )
        return hsic


def linear_cka(x: Any, y: Any) -> float:
    """Linear CKA of x (n, d) and y (n, e), in [0, 1]; Kornblith et al. 2019, eq. 3. Computed in float64.

    Raises:
        ValueError: rows that do not match, fewer than 3 of them, values that are not finite, or a constant side.
    """
    return _whole(x, y).biased()


def debiased_cka(x: Any, y: Any) -> float:
    """Debiased linear CKA of x (n, d) and y (n, e); Nguyen et al. 2021, eq. 3. May be negative. Computed in float64.

    Raises:
        ValueError: as `linear_cka`, with at least 4 rows.
    """
    return _whole(x, y).debiased()


def _whole(x: Any, y: Any) -> LinearCKA:
    cka = LinearCKA()
    cka.update(x, y)
    return cka


def _rows(values: Any) -> Tensor:
    rows = torch.as_tensor(values).detach().to("cpu", torch.float64)
    if rows.ndim != 2 or rows.shape[1] == 0:
        raise ValueError(f"expected rows of shape (n, d), got shape {tuple(rows.shape)}")
    if not torch.isfinite(rows).all():
        raise ValueError("the values are not all finite")
    return rows


def _resolution(values: Any) -> float:
    """The spread, relative to the size of the values, below which rows count as equal: a few units of rounding."""
    dtype = torch.as_tensor(values).dtype
    return 8 * torch.finfo(dtype).eps if dtype.is_floating_point else 1e-12


def _hsic_from_rows(x: Tensor, y: Tensor, *, debiased: bool) -> HSIC:
    """HSIC from the n × n Gram matrices of centred rows, for n ≤ d."""
    gram_x, gram_y = x @ x.T, y @ y.T
    a, b = gram_x.diagonal(), gram_y.diagonal()
    return HSIC(
        _hsic(float((gram_x * gram_y).sum()), a, b, debiased=debiased),
        _hsic(float(gram_x.square().sum()), a, a, debiased=debiased),
        _hsic(float(gram_y.square().sum()), b, b, debiased=debiased),
    )


def _hsic(biased: float, a: Tensor, b: Tensor, *, debiased: bool) -> float:
    n = len(a)
    if not debiased:
        return biased
    return biased - n / (n - 2) * float(a @ b) + float(a.sum() * b.sum()) / ((n - 1) * (n - 2))
