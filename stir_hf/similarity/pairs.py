"""The accumulator of pairs of rows that all measures of this package share."""

import math
from collections.abc import Sequence
from copy import deepcopy
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stir_hf.similarity.measure import ConstantError
from stir_hf.similarity.moments import Moments
from stir_hf.similarity.sums import Columns, PairSums, Sums

CHUNK = 1024
"""Rows that are folded into the sums at a time: few enough to hold, enough for the products to be
all that is paid for.
"""


class Pairs:
    """Pairs of rows that come in batches; merges with others.

    Rows are kept while there are no more of them than columns (then the n × n form is the cheaper
    one), and folded into sums of size d² after that, `chunk` rows at a time. The result does not
    depend on how the rows were cut into batches or chunks, nor on their order, but for rounding.
    Rows are copied to the CPU as they come, in their own dtype, and become float64 there: an
    accelerator need not know float64.

    Args:
        keep: keep all rows, in the order in which they came: for measures, intervals and nulls
            that need them. The sums are then taken in a pass over them.
        chunk: number of rows that are folded at a time.
    """

    def __init__(self, *, keep: bool = False, chunk: int = CHUNK) -> None:
        self.n, self._keep = 0, keep
        self._chunk = chunk
        self._widths: tuple[int, int] | None = None
        self._resolution = (0.0, 0.0)
        self._rows: list[tuple[Tensor, Tensor]] = []
        self._moments: Moments | None = None
        self._sums: PairSums | None = None
        self._centred: Moments | None = None

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

    def merge(self, other: Self) -> None:
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

    def _accept(self, widths: tuple[int, int], resolution: tuple[float, float]) -> None:
        """Make ready for rows of these widths."""
        if self._widths not in (None, widths):
            raise ValueError(f"rows of widths {widths} after rows of widths {self._widths}")
        self._widths = widths
        (x, y), (new_x, new_y) = self._resolution, resolution
        self._resolution = max(x, new_x), max(y, new_y)
        self._sums = self._centred = None

    def _take(self, x: Tensor, y: Tensor) -> None:
        """Keep rows, and fold all whole chunks once there are more rows than columns."""
        self.n += len(x)
        self._rows.append((x, y))
        if self._keep:
            return
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

    def reorder(self, order: NDArray[np.int64]) -> None:
        """Put the rows into another order (n,), if they are kept; sums have none."""
        if self._keep and self._rows:
            x, y = _joined(self._rows)
            at = torch.from_numpy(order)
            self._rows = [(x[at], y[at])]
            self._sums = self._centred = None

    @property
    def wide(self) -> bool:
        """True if there are no more rows than columns, so that products of rows are cheaper."""
        return self.n <= max(self._widths or (0,))

    def rows(self) -> tuple[Tensor, Tensor]:
        """All rows of both sides, (n, d) and (n, e), float64, in the order in which they came.

        Raises:
            ValueError: they were folded, since `keep` was not asked for.
        """
        if self._moments is not None:
            raise ValueError("the rows were folded into sums; make the accumulator with keep=True")
        x, y = _joined(self._rows)
        return x.to(torch.float64), y.to(torch.float64)

    def centred(self) -> tuple[Tensor, Tensor]:
        """The same rows without their mean, over the root of their mean square: what an isotropic
        scale and a translation leave.
        """
        x, y = self.rows()
        return _standard(x), _standard(y)

    def sums(self) -> PairSums:
        """The sums from which linear HSIC follows; what is kept is left as it is."""
        if self._sums is None:
            of_rows = self._moments is None and self.wide
            rows = zip(*self._rows, strict=True)
            self._sums = PairSums.of_rows(*rows) if of_rows else self.moments().sums()
        return self._sums

    def products(self) -> tuple[Tensor, Tensor, Tensor]:
        """The products XᵀX, XᵀY and YᵀY of centred rows, float64: (d, d), (d, e) and (e, e), or,
        while there are no more rows than columns, those of coordinates (n, n) of the rows, which
        differ from them by rotations of X and of Y.
        """
        if self._moments is None and self.wide:
            x, y = (coordinates(rows) for rows in self.centred())
            return x.T @ x, x.T @ y, y.T @ y
        moments = self.moments()
        a, b = (math.sqrt(side.squares / self.n) for side in (moments.x, moments.y))
        xy, xx, yy = (part.uv for part in (moments.xy, moments.xx, moments.yy))
        return xx / (a * a), xy / (a * b), yy / (b * b)

    def moments(self) -> Moments:
        """The sums of products of columns over all rows, about their mean."""
        if self._centred is None:
            self._centred = self._gathered().centred()
        return self._centred

    def _gathered(self) -> Moments:
        """The same sums, about a point near the rows."""
        moments, rows = self._moments, self._rows
        if moments is not None and not rows:
            return moments
        if moments is None:
            moments = Moments.about_mean(*_joined(rows[: _first(rows, self._chunk)]))
        else:
            moments = deepcopy(moments)
        while rows:
            count = _first(rows, self._chunk)
            moments.add(*_joined(rows[:count]))
            rows = rows[count:]
        return moments

    def check(self, name: str, least: int, *, debiased: bool = False) -> None:
        """Check that a measure is defined.

        Raises:
            ValueError: fewer than `least` rows, a side whose rows are all the same
                (`ConstantError`), a column whose rounding hides the others, or, of the debiased
                HSIC, a side whose HSIC with itself is 0 up to rounding.
        """
        if self.n < least:
            raise ValueError(f"{name} needs at least {least} rows, not {self.n}")
        sums = self.sums()
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


def coordinates(rows: Tensor) -> Tensor:
    """Rows (n, k), k = min(n, d), with the same products as rows (n, d)."""
    if rows.shape[1] <= len(rows):
        return rows
    found: Tensor = torch.linalg.qr(rows.T, mode="r").R
    return found.T


def _first(rows: Sequence[tuple[Tensor, Tensor]], chunk: int) -> int:
    """The number of pieces that have a whole chunk of rows."""
    count = seen = 0
    while count < len(rows) and seen < chunk:
        seen += len(rows[count][0])
        count += 1
    return count


def _standard(rows: Tensor) -> Tensor:
    rows = rows - rows.mean(0)
    rows.sub_(rows.mean(0))  # the mean's own rounding
    return rows.div_(torch.linalg.vector_norm(rows) / len(rows) ** 0.5)


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
