"""The rows of an inversion set that were found when it was loaded, wherever they are now."""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from stir_hf.data.files.broken import of_set
from stir_hf.data.files.rows import STATUSES, UNREADABLE, GoneError, Rows, first_of_each
from stir_hf.data.files.shards import files_of
from stir_hf.errors import RequestError

T = TypeVar("T")

TRIES = 3
"""A folder that is compacted again and again while it is read is given up after so many."""


def reading(read: Callable[[], T]) -> T:
    """Read a folder, again where a run compacts it meanwhile.

    Raises:
        GoneError: it was compacted each time.
    """
    for _ in range(TRIES - 1):
        try:
            return read()
        except GoneError:
            continue
    return read()


class Stored:
    """Rows of a set by their place, read from its folder.

    A run that continues the set may compact the folder; the rows are then found again by index and
    draw.

    Args:
        folder: of the set.
        rows: in its files.
        numbers: (n,): where each of the rows stands in the files.
        keys: (n, 2): index and draw of each, sorted.
        errors: (n,): the relative error of each, by which a row is known again.
        called: the set in messages, where it is one of the Hub.
    """

    def __init__(
        self,
        folder: Path,
        rows: Rows,
        numbers: NDArray[np.int64],
        keys: NDArray[np.int64],
        errors: NDArray[np.float32],
        called: str | None = None,
    ) -> None:
        self.called = called
        self.folder, self._keys, self._errors = folder, keys, errors
        self._there = rows, numbers

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns with their types, as the first file has them."""
        return self._read(lambda rows, _: rows.schema)

    def only(self, keep: NDArray[np.bool_]) -> "Stored":
        """Those of the rows that a mask (n,) holds."""
        rows, numbers = self._there
        keys, errors = self._keys[keep], self._errors[keep]
        return Stored(self.folder, rows, numbers[keep], keys, errors, self.called)

    def take(self, places: Sequence[int], columns: Sequence[str]) -> pa.Table:
        """Some rows, in the order given, as they are stored.

        Raises:
            RequestError: the folder does not hold them any more.
        """
        return self._read(lambda rows, numbers: rows.take(numbers[list(places)].tolist(), columns))

    def values(self, column: str, places: NDArray[np.int64]) -> list[Any]:
        """A column of small values, of some rows; None where there is none.

        Raises:
            RequestError: as `take`.
        """
        return self._read(lambda rows, numbers: rows.values(column, numbers[places]))

    def forget(self) -> None:
        """Keep no rows in memory."""
        self._there[0].forget()

    def order(self) -> NDArray[np.int64]:
        """(n,): the places in the order in which the rows lie on disk."""
        return np.argsort(self._there[1], kind="stable")

    def _read(self, read: Callable[[Rows, NDArray[np.int64]], T]) -> T:
        with of_set(self.called):
            try:
                return read(*self._there)
            except GoneError:
                return reading(lambda: read(*self._found_again()))

    def _found_again(self) -> tuple[Rows, NDArray[np.int64]]:
        rows = Rows(files_of(self.folder))
        index, draw, status, error = rows.columns("index", "draw", "status", "relative_error")
        first = first_of_each(index, draw, status == STATUSES.index(UNREADABLE))
        draws = 1 + max(draw.max(initial=0), self._keys[:, 1].max(initial=0))
        there, wanted = index[first] * draws + draw[first], self._keys @ (draws, 1)
        at = np.searchsorted(there, wanted).clip(max=len(there) - 1)
        same = len(there) > 0 and np.array_equal(there[at], wanted)
        if not same or not np.array_equal(error[first[at]], self._errors):
            raise RequestError(
                f"{self.folder} does not hold the inversions any more that were loaded from it;"
                " load it again"
            )
        self._there = rows, first[at]
        return self._there
