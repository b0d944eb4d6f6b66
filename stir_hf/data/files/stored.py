"""The rows that an inversion set had when it was loaded, found again if files were compacted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from stir_hf.data.files.broken import of_set
from stir_hf.data.files.rows import (
    STATUSES,
    UNREADABLE,
    GoneError,
    Rows,
    first_of_each,
)
from stir_hf.data.files.shards import files_of
from stir_hf.errors import RequestError

T = TypeVar("T")

TRIES = 3
"""Attempts at reading a folder that is compacted at the same time."""


def reading(read: Callable[[], T]) -> T:
    """Read a folder, with retries if a run compacts it meanwhile; then raises GoneError."""
    for _ in range(TRIES - 1):
        try:
            return read()
        except GoneError:
            continue
    return read()


@dataclass(eq=False)
class Stored:
    """Rows of a set by position, read from its folder.

    A run that continues the set may compact the folder; the rows are then found again by index and
    draw.
    """

    folder: Path
    """The folder of the set."""
    there: tuple[Rows, NDArray[np.int64]]
    """The rows of its files, and (n,): the row number of each position; changed together."""
    keys: NDArray[np.int64]
    """(n, 2): index and draw of each row, sorted."""
    errors: NDArray[np.float32]
    """(n,): the relative error of each row, which identifies it after compaction."""
    called: str | None = None
    """Name of the set in messages, if it is from the Hub."""

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns with their types, as the first file has them."""
        return self._read(lambda rows, _: rows.schema)

    def only(self, keep: NDArray[np.bool_]) -> "Stored":
        """The rows that a mask (n,) selects."""
        rows, numbers = self.there
        keys, errors = self.keys[keep], self.errors[keep]
        return replace(self, there=(rows, numbers[keep]), keys=keys, errors=errors)

    def take(self, places: Sequence[int], columns: Sequence[str]) -> pa.Table:
        """Some rows in the given order, as stored; raises RequestError if they are gone."""
        return self._read(lambda rows, numbers: rows.take(numbers[list(places)].tolist(), columns))

    def values(self, column: str, places: NDArray[np.int64]) -> list[Any]:
        """A column of small values for some rows; None for rows of files without that column.

        Raises:
            RequestError: as `take`.
        """
        return self._read(lambda rows, numbers: rows.values(column, numbers[places]))

    def at_indices(self, indices: NDArray[np.int64], columns: Sequence[str]) -> pa.Table:
        """For each index of an original, in ascending order, one row of the files with its canvas
        hash and these columns; raises RequestError if they hold no such original.
        """

        def read(rows: Rows, _: NDArray[np.int64]) -> pa.Table:
            index, status = rows.columns("index", "status")
            there = np.flatnonzero(status != STATUSES.index(UNREADABLE))
            found, first = np.unique(index[there], return_index=True)
            at = np.searchsorted(found, indices).clip(max=max(0, len(found) - 1))
            if not len(found) or not np.array_equal(found[at], indices):
                raise RequestError(
                    f"{self.called or self.folder} does not hold an original from which an"
                    " inversion of it started"
                )
            return rows.take(there[first[at]].tolist(), ["canvas_hash", *columns])

        return self._read(read)

    def forget(self) -> None:
        """Drop all rows from memory."""
        self.there[0].forget()

    def order(self) -> NDArray[np.int64]:
        """(n,): the places in the order in which the rows lie on disk."""
        return np.argsort(self.there[1], kind="stable")

    def _read(self, read: Callable[[Rows, NDArray[np.int64]], T]) -> T:
        with of_set(self.called):
            try:
                return read(*self.there)
            except GoneError:
                return reading(lambda: read(*self._found_again()))

    def _found_again(self) -> tuple[Rows, NDArray[np.int64]]:
        rows = Rows(files_of(self.folder))
        index, draw, status, error = rows.columns("index", "draw", "status", "relative_error")
        first = first_of_each(index, draw, status)
        draws = 1 + max(draw.max(initial=0), self.keys[:, 1].max(initial=0))
        there, wanted = index[first] * draws + draw[first], self.keys @ (draws, 1)
        at = np.searchsorted(there, wanted).clip(max=len(there) - 1)
        same = len(there) > 0 and np.array_equal(there[at], wanted)
        if not same or not np.array_equal(error[first[at]], self.errors):
            raise RequestError(
                f"{self.folder} does not hold the inversions any more that were loaded from it;"
                " load it again"
            )
        self.there = rows, first[at]
        return self.there
