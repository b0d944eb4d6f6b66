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
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from stir_hf.similarity.measure import MEASURES, Bounds, Closer, ConstantError
from stir_hf.similarity.moments import Moments
from stir_hf.similarity.sums import Columns, PairSums, Sums

CHUNK = 1024
"""Rows that are folded into the sums at a time: few enough to hold, enough for the products to be
all that is paid for.
"""


class LinearCKA:
    """Linear CKA and debiased CKA of rows that come in batches; merges with other accumulators.

    Rows are kept while there are no more of them than columns (then the n × n form is the cheaper
    one), and folded into sums of size d² after that, `chunk` rows at a time. The result does not
    depend on how the rows were cut into batches or chunks, nor on their order, but for rounding.
    Rows are copied to the CPU as they come, in their own dtype, and become float64 there: an
    accelerator need not know float64.

        cka = LinearCKA()
        cka.update(x, y)              # (b, d), (b, e), any float dtype, any device
        cka.value(), cka.debiased()
    """

    def __init__(self, *, chunk: int = CHUNK) -> None:
        self.n = 0
        self._chunk = chunk
        self._widths: tuple[int, int] | None = None
        self._resolution = (0.0, 0.0)
        self._rows: list[tuple[Tensor, Tensor]] = []
        self._moments: Moments | None = None
        self._sums: PairSums | None = None

    def update(self, x: Any, y: Any) -> None:
        """Add b rows: x of shape (b, d), y of shape (b, e), arrays or tensors.

        Raises:
            ValueError: shapes that do not fit each other or the rows before, or values that are
                not finite.
        """
        self._add(x, y, adopted=False)

    def adopt(self, x: Any, y: Any) -> None:
        """Add b rows as `update` does. Tensors on the CPU are kept as they are, without a copy, so
        that several accumulators share them: nobody may change them any more.

        Raises:
            ValueError: as `update`.
        """
        self._add(x, y, adopted=True)

    def _add(self, x: Any, y: Any, *, adopted: bool) -> None:
        u, v = _checked(x), _checked(y)
        if len(u) != len(v):
            raise ValueError(
                f"x has {len(u)} rows and y has {len(v)}; row i of both must be the same input"
            )
        if len(u) == 0:
            return
        self._accept((u.shape[1], v.shape[1]), (_resolution(u.dtype), _resolution(v.dtype)))
        for start in range(0, len(u), self._chunk):
            piece = slice(start, start + self._chunk)
            x_piece, y_piece = (u, v) if len(u) <= self._chunk else (u[piece], v[piece])
            self._take(_kept(x_piece, adopted=adopted), _kept(y_piece, adopted=adopted))

    def merge(self, other: "LinearCKA") -> None:
        """Add the rows that `other` has seen, and leave `other` as it is.

        An accumulator merged into itself counts its rows twice.

        Raises:
            ValueError: rows of other widths.
        """
        if other._widths is None:
            return
        rows, moments = list(other._rows), other._moments  # as they are now: `other` may be `self`
        self._accept(other._widths, other._resolution)
        if moments is not None:
            self.n += moments.n
            mine = self._moments
            self._moments = deepcopy(moments) if mine is None else mine.merge(moments)
        for x, y in rows:
            self._take(x, y)

    def value(self) -> float:
        """Linear CKA, in [0, 1].

        Raises:
            ValueError: fewer than 3 rows, or a side whose rows are all the same (`ConstantError`).
        """
        return self._ratio("linear_cka", least=3, debiased=False)

    def debiased(self) -> float:
        """Debiased linear CKA, in [-1, 1]: 0 on average for unrelated inputs.

        Raises:
            ValueError: fewer than 4 rows, a side whose rows are all the same (`ConstantError`), or
                so few distinct rows that the unbiased HSIC of a side with itself is 0 up to
                rounding.
        """
        return self._ratio("debiased_cka", least=4, debiased=True)

    def _accept(self, widths: tuple[int, int], resolution: tuple[float, float]) -> None:
        """Make ready for rows of these widths."""
        if self._widths not in (None, widths):
            raise ValueError(f"rows of widths {widths} after rows of widths {self._widths}")
        self._widths = widths
        (x, y), (new_x, new_y) = self._resolution, resolution
        self._resolution = max(x, new_x), max(y, new_y)
        self._sums = None

    def _take(self, x: Tensor, y: Tensor) -> None:
        """Keep rows, and fold all whole chunks once there are more rows than columns."""
        self.n += len(x)
        self._rows.append((x, y))
        waiting = self.n - (self._moments.n if self._moments else 0)
        if waiting < self._chunk or (self._moments is None and self.n <= max(self._widths or ())):
            return
        while waiting >= self._chunk:
            x, y = self._first_chunk()
            self._moments = self._moments or Moments.about_mean(x, y)
            self._moments.add(x, y)
            waiting -= self._chunk

    def _first_chunk(self) -> tuple[Tensor, Tensor]:
        """Take a whole chunk out of the rows that are kept."""
        found, lacking = list[tuple[Tensor, Tensor]](), self._chunk
        while lacking > 0:
            x, y = self._rows.pop(0)
            if len(x) > lacking:
                self._rows.insert(0, (x[lacking:].clone(), y[lacking:].clone()))
                x, y = x[:lacking], y[:lacking]
            found.append((x, y))
            lacking -= len(x)
        return _joined(found)

    def _summed(self) -> PairSums:
        """The sums over all rows; what is kept is left as it is."""
        if self._moments is None:
            if self.n <= max(self._widths or ()):
                return PairSums.of_rows(*zip(*self._rows, strict=True))
            x, y = _joined(self._rows)
            moments = Moments.about_mean(x, y)
            moments.add(x, y)
        else:
            moments = self._moments
            if self._rows:
                moments = deepcopy(moments)
                moments.add(*_joined(self._rows))
        return moments.sums()

    def _ratio(self, name: str, *, least: int, debiased: bool) -> float:
        if self.n < least:
            raise ValueError(f"{name} needs at least {least} rows, not {self.n}")
        self._sums = sums = self._sums or self._summed()
        sides: tuple[tuple[Literal["x", "y"], Columns, Sums], ...] = (
            ("x", sums.columns[0], sums.xx),
            ("y", sums.columns[1], sums.yy),
        )
        for (side, columns, _), resolution in zip(sides, self._resolution, strict=True):
            if columns.constant(resolution):
                raise ConstantError(side)
            if (column := columns.hidden_by(resolution)) is not None:
                raise ValueError(
                    f"column {column} of {side} is so large that its rounding hides the other"
                    " columns; read another layer, or use --dtype float64"
                )
        for (side, columns, own), resolution in zip(sides, self._resolution, strict=True):
            if debiased and not own.defined(columns.noise(resolution / 4)):
                raise ValueError(
                    f"the debiased measure is undefined: {side} has too few rows that differ, or"
                    f" their differences are lost in rounding (HSIC of {side} with itself is 0)"
                )
        xy, xx, yy = (part.hsic(debiased=debiased) for part in (sums.xy, sums.xx, sums.yy))
        return max(-1.0, min(1.0, xy / math.sqrt(xx) / math.sqrt(yy)))


@MEASURES.add("linear_cka")
@dataclass(frozen=True)
class LinearCKAMeasure:
    """Linear CKA (Kornblith et al. 2019); debiased: Nguyen et al. 2021."""

    least_rows: ClassVar[int] = 4
    has_debiased: ClassVar[bool] = True
    bounds: ClassVar[Bounds] = (0.0, 1.0)
    closer: ClassVar[Closer] = "larger"

    def accumulator(self) -> LinearCKA:
        """A new accumulator that has seen no rows."""
        return LinearCKA()


def linear_cka(x: Any, y: Any) -> float:
    """Linear CKA of x (n, d) and y (n, e), in [0, 1]; Kornblith et al. 2019, eq. 3. Computed in
    float64.

    Raises:
        ValueError: rows that do not match, fewer than 3 of them, values that are not finite, or a
            constant side (`ConstantError`).
    """
    return _whole(x, y).value()


def debiased_cka(x: Any, y: Any) -> float:
    """Debiased linear CKA of x (n, d) and y (n, e); Nguyen et al. 2021, eq. 3. May be negative.
    Computed in float64.

    Raises:
        ValueError: as `linear_cka`, with at least 4 rows.
    """
    return _whole(x, y).debiased()


def _whole(x: Any, y: Any) -> LinearCKA:
    cka = LinearCKA()
    cka.update(x, y)
    return cka


def _checked(values: Any) -> Tensor:
    """Rows of shape (b, d), all finite, still where they are."""
    given = values if isinstance(values, Tensor) else torch.from_numpy(np.array(values, order="C"))
    rows: Tensor = given.detach() if given.requires_grad else given
    if rows.ndim != 2 or rows.shape[1] == 0:
        raise ValueError(f"expected rows of shape (n, d), got shape {tuple(rows.shape)}")
    if not torch.isfinite(rows).all():
        raise ValueError("the values are not all finite")
    return rows


def _kept(rows: Tensor, *, adopted: bool) -> Tensor:
    """A copy on the CPU, in the rows' own dtype if that is a float: the caller may overwrite the
    original, unless it is `adopted`, which is copied only where it is a view of something larger.
    What is shared stays the same object, which pickle writes once.
    """
    view = rows.untyped_storage().nbytes() > rows.nbytes
    rows = rows.to("cpu", copy=view or not adopted)
    return rows if rows.is_floating_point() else rows.to(torch.float64)


def _joined(pieces: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """The rows of both sides, each as one tensor."""
    return torch.cat([x for x, _ in pieces]), torch.cat([y for _, y in pieces])


def _resolution(dtype: torch.dtype) -> float:
    """The spread, relative to the size of the values, below which rows count as equal: a few units
    of rounding.
    """
    return 8 * torch.finfo(dtype).eps if dtype.is_floating_point else 1e-12
