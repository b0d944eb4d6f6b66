"""The values per row in progress that change in every pass."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

HOST = "cpu"
"""The device whose values can be read without synchronisation."""

Noted = tuple[Tensor, Tensor, Tensor]
"""Losses, errors that end a row, and errors of the reference (b,); one tensor if they are equal."""

_COLUMNS = ("enough", "best", "left", "error", "passes", "finite", "taken")


class Ledger:
    """The best loss of each slot with the errors of that iterate, the number of passes, and two
    flags: were all values finite, and is the best iterate of the present start?

    `left` is the error that ends a row when it is sufficient, `error` the reference's.

    The values are NumPy arrays on the CPU, since small operations cost a fraction of torch's, and
    torch tensors on an accelerator, so that the host does not wait in every pass. Both run the same
    code.
    """

    def __init__(self, enough: Sequence[float], like: Tensor, *, last: bool = False) -> None:
        """Make one slot for each sufficient error, on the device and in the precision of `like`;
        with `last`, the last iterate counts as the best.
        """
        count, self.on_host, self.last = len(enough), like.device.type == HOST, last
        self._space: Any = np if self.on_host else torch
        self._precision = torch.float64 if like.dtype == torch.float64 else torch.float32
        self._place: dict[str, Any] = {} if self.on_host else {"device": like.device}
        precision = getattr(self._space, str(self._precision).removeprefix("torch."))
        self.enough: Any = self._space.asarray(enough, dtype=precision, **self._place)
        self.best: Any = self._space.full((count,), torch.inf, dtype=precision, **self._place)
        self.left: Any = self._space.full((count,), torch.inf, dtype=precision, **self._place)
        self.error: Any = self._space.full((count,), torch.inf, dtype=precision, **self._place)
        self.passes: Any = self._space.zeros((count,), dtype=self._space.int64, **self._place)
        self.finite: Any = self._space.ones((count,), dtype=self._space.bool, **self._place)
        self.taken: Any = self._space.zeros((count,), dtype=self._space.bool, **self._place)

    def searching(self) -> Any:
        """(b,): True for rows without a sufficient error and with finite values only."""
        return self.finite & (self.left > self.enough)

    def enter(self, values: Noted, sums: Tensor) -> Any:
        """Record one pass: losses and errors (b,), and sums of the gradients (b,), which are not
        finite if one of their values is not.

        Passes after a sufficient error, or after a value that is not finite, change nothing.
        Returns a mask (b,) of the rows that are at their best so far: of the least loss, or of a
        sufficient error.
        """
        searching = self.searching()
        self.passes += searching
        return self._improve(values, searching, self._space.isfinite(self._values(sums)))

    def enter_last(self, values: Noted, among: list[bool]) -> Any:
        """Record the losses and errors (b,) of the last iterates of some rows, which take no
        further pass.
        """
        chosen = self._space.asarray(among, **self._place)
        return self._improve(values, self.searching() & chosen, True)

    def _improve(self, values: Noted, among: Any, valid: Any) -> Any:
        found = {id(one): self._values(one) for one in values}  # one tensor where they are the same
        for one in found.values():
            valid = valid & self._space.isfinite(one)
        losses, left, errors = (found[id(one)] for one in values)
        self.finite &= valid | ~among
        improved = among & valid
        if not self.last:
            better = losses < self.best
            improved = improved & (better if left is losses else better | (left <= self.enough))
        self.best = self._space.where(improved, losses, self.best)
        self.left = self._space.where(improved, left, self.left)
        self.error = self._space.where(improved, errors, self.error)
        self.taken |= improved
        return improved

    def begin_again(self, rows: list[int]) -> None:
        """Begin another start of some slots, whose best iterates stay."""
        self.taken[rows], self.finite[rows] = False, True

    def _values(self, values: Tensor) -> Any:
        if values.dtype != self._precision:
            values = values.to(self._precision)
        return values.numpy() if self.on_host else values

    def mean_error(self) -> float:
        """The mean error of the best iterates of rows with finite values; NaN without such rows."""
        errors = self.error[self.finite]
        return float(errors.mean()) if len(errors) else float("nan")

    def refill(self, rows: list[int], new: "Ledger") -> None:
        """Replace the values of some slots by those of new rows."""
        for name in _COLUMNS:
            getattr(self, name)[rows] = getattr(new, name)

    def keep(self, rows: list[int]) -> None:
        """Keep only some slots."""
        for name in _COLUMNS:
            setattr(self, name, getattr(self, name)[rows])
