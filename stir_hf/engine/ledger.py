"""What is known of each image in flight: a few values per image, which change in every pass."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

HOST = "cpu"
"""The device whose values can be looked at without waiting."""


class Ledger:
    """The best error of each slot, the passes that it took, and whether all its values were finite.

    On the CPU in NumPy, whose calls on so few values cost a fraction of torch's; on an accelerator in torch, where the host
    does not wait for a value in every pass. Both run the same lines.
    """

    def __init__(self, count: int, like: Tensor, enough: float) -> None:
        """`count` slots; `like` has the device and the precision of the errors. At or below `enough` an image is done."""
        self.on_host = like.device.type == HOST
        self.enough = enough
        self._space: Any = np if self.on_host else torch
        self._precision = torch.float64 if like.dtype == torch.float64 else torch.float32
        place: dict[str, Any] = {} if self.on_host else {"device": like.device}
        precision = getattr(self._space, str(self._precision).removeprefix("torch."))
        self.best: Any = self._space.full((count,), torch.inf, dtype=precision, **place)
        self.passes: Any = self._space.zeros((count,), dtype=self._space.int64, **place)
        self.finite: Any = self._space.ones((count,), dtype=self._space.bool, **place)

    def searching(self) -> Any:
        """Which images have not met an error that is good enough, nor a value that is not finite."""
        return self.finite & (self.best > self.enough)

    def enter(self, error: Tensor, gradient: Tensor) -> Any:
        """Note one pass: the errors (b,) and gradients (b, …) of the iterates; returns which are the best so far.

        What comes after an error that is good enough, or a value that is not finite, changes nothing.
        """
        searching = self.searching()
        self.passes += searching
        total = gradient.flatten(1).sum(1)  # not finite where one of them is not
        valid = self._space.isfinite(self._values(total))
        return self._enter(error, valid, searching)

    def enter_last(self, error: Tensor, among: list[bool]) -> Any:
        """Note the errors (b,) of last iterates, which take no pass of their own, of some images only."""
        if self.on_host:
            chosen: Any = np.array(among)
        else:
            chosen = torch.tensor(among, device=error.device)
        return self._enter(error, True, self.searching() & chosen)

    def _enter(self, error: Tensor, valid: Any, among: Any) -> Any:
        values = self._values(error)
        valid = valid & self._space.isfinite(values)
        improved = among & valid & (values < self.best)
        self.best = self._space.where(improved, values, self.best)
        self.finite &= valid | ~among
        return improved

    def _values(self, values: Tensor) -> Any:
        values = values.to(self._precision)
        return values.numpy() if self.on_host else values

    def reset(self, rows: list[int]) -> None:
        """Forget what is known of some slots."""
        self.best[rows], self.passes[rows], self.finite[rows] = torch.inf, 0, True

    def keep(self, rows: list[int]) -> None:
        """Keep some slots only."""
        self.best, self.passes, self.finite = (
            self.best[rows],
            self.passes[rows],
            self.finite[rows],
        )
