"""A column of an inversion set that is read from disk where it is indexed."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Pixels(np.lib.mixins.NDArrayOperatorsMixin):
    """Pixels (n, *shape), float32, as an array that is not in memory: indexing reads what is asked
    for.

    `numpy.asarray` reads all of it; so does arithmetic.
    """

    def __init__(
        self, read: Callable[[Sequence[int]], NDArray[np.float32]], shape: tuple[int, ...]
    ) -> None:
        self._read, self.shape = read, shape
        self.ndim, self.dtype = len(shape), np.dtype(np.float32)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> NDArray[np.float32]:
        """One image, or those of a slice, a mask or a list of numbers."""
        numbers = np.arange(len(self))[rows]
        found = self._read(np.atleast_1d(numbers).tolist())
        return found if np.ndim(numbers) else np.asarray(found[0])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("the pixels are on disk: an array of them is a copy")
        return np.asarray(self[:], dtype)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        arrays = [np.asarray(x) if isinstance(x, Pixels) else x for x in inputs]
        return getattr(ufunc, method)(*arrays, **options)
