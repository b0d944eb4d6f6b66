"""Measures that are functions of pairs of rows, so that several share one accumulator."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from stir_hf.similarity.kernels import Kernels
from stir_hf.similarity.measure import Bounds, Closer
from stir_hf.similarity.pairs import CHUNK, Pairs


class OfPairs(ABC):
    """A measure that is a function of all pairs of rows. Its subclasses are frozen dataclasses."""

    has_debiased: ClassVar[bool]
    bounds: ClassVar[Bounds]
    closer: ClassVar[Closer]
    needs_rows: ClassVar[bool] = False
    """True if sums of products of columns are not enough."""
    has_interval: ClassVar[bool] = False
    """True if its debiased value is a ratio of HSIC of `kernels`, whose jackknife is known."""

    @property
    @abstractmethod
    def least_rows(self) -> int:
        """See `Measure`."""

    @abstractmethod
    def of(self, pairs: Pairs) -> float:
        """The value of the measure, within its bounds.

        Raises:
            ValueError: it is undefined for these rows; `ConstantError` if a side is constant.
        """

    def debiased_of(self, pairs: Pairs) -> float:
        """The debiased value, of a measure that has one.

        Raises:
            ValueError: as `of`.
        """
        raise NotImplementedError

    def permuted(self, pairs: Pairs, orders: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
        """(K,): the values where the rows of the second side come in other orders (n,)."""
        x, y = pairs.rows()
        return np.array([self.between(x, y[torch.from_numpy(order)]) for order in orders])

    def kernels(self, pairs: Pairs) -> Kernels:
        """The kernels whose debiased ratio is the debiased value, of a measure with intervals."""
        raise NotImplementedError

    def accumulator(self) -> "Measured":
        """A new accumulator that has seen no rows."""
        return Measured(self)

    def between(self, x: Any, y: Any) -> float:
        """The value for x (n, d) and y (n, e), arrays or tensors."""
        return self.of(self._pairs(x, y))

    def debiased_between(self, x: Any, y: Any) -> float:
        """The debiased value for x (n, d) and y (n, e)."""
        return self.debiased_of(self._pairs(x, y))

    def _pairs(self, x: Any, y: Any) -> Pairs:
        pairs = Pairs(keep=self.needs_rows)
        pairs.update(x, y)
        return pairs


class Measured(Pairs):
    """An accumulator for one measure."""

    def __init__(self, measure: OfPairs, *, keep: bool = False, chunk: int = CHUNK) -> None:
        super().__init__(keep=keep or measure.needs_rows, chunk=chunk)
        self.measure = measure

    def value(self) -> float:
        """Return the value of the measure.

        Raises:
            ValueError: it is undefined for these rows; `ConstantError` if a side is constant.
        """
        return self.measure.of(self)

    def debiased(self) -> float:
        """Return the debiased value.

        Raises:
            ValueError: as `value`.
        """
        return self.measure.debiased_of(self)
