"""The rows of an inversion set as arrays, read from disk and checked as they are read."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import datasets
import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from stir_hf.data.files.columns import features_of
from stir_hf.data.files.row_checks import REPRESENTATIONS, Keys, RowChecks
from stir_hf.data.files.stored import Stored
from stir_hf.errors import RequestError

_AT_ONCE = 64

Originals = Callable[[Sequence[int], Sequence[str]], NDArray[np.float32]]
"""Function from the indices and canvas hashes of originals to their values."""


@dataclass(frozen=True, eq=False)
class Reader:
    """Rows by position. Every method raises BrokenError, naming the set, index and draw of the
    first inconsistent row.
    """

    stored: Stored
    checks: RowChecks
    keys: Keys
    """The keys of all rows."""
    originals: Originals | None = None
    """The source of the originals, for a set that was published without them."""

    @property
    def columns(self) -> list[str]:
        """The names of the columns present."""
        return list(self.stored.schema.names)

    @cached_property
    def features(self) -> datasets.Features:
        """The columns with their types."""
        exact = self.checks.manifest.identity["engine"]["exact"]
        return features_of(self.stored.schema, self.checks.kind, exact)

    @property
    def original(self) -> str:
        """The column of originals."""
        return self.checks.kind.name

    @property
    def _inputs(self) -> set[str]:
        """The columns of inputs present."""
        return {self.original, "inverted", "start"} & set(self.columns)

    def values(self, column: str, rows: Sequence[int]) -> NDArray[np.float32]:
        """(b, *shape): the originals, `inverted` or `start` column of some rows.

        Raises:
            RequestError: the originals are not available.
        """
        if column == self.original and column not in self.columns:
            return self._from_source(rows)
        names = [column, "canvas_hash"] if column == self.original else [column]
        return self.checks.values(self.keys.of(rows), column, self.stored.take(rows, names))

    def contexts(self, rows: Sequence[int]) -> dict[str, NDArray[Any]]:
        """Return what a pass takes beside these originals, (b, …) by name: masks, say."""
        kind = self.checks.kind
        if not kind.has_context or not len(rows):
            return {}
        found = [
            kind.context(one)
            for one in self.checks.canvases(
                self.keys.of(rows), self.stored.take(rows, [self.original])
            )
        ]
        return {name: np.stack([one[name] for one in found]) for name in found[0]}

    def _from_source(self, rows: Sequence[int]) -> NDArray[np.float32]:
        if self.originals is None:
            raise RequestError(
                f"the inversions of {self.checks.manifest.names['reference']} were published"
                " without the originals; stir_hf.score takes them from their dataset"
            )
        hashes = self.stored.take(rows, ["canvas_hash"])["canvas_hash"].to_pylist()
        return self.originals(self.keys.index[rows].tolist(), hashes)

    def vectors(self, column: str, rows: Sequence[int]) -> NDArray[np.float32]:
        """(b, d): representations of some rows."""
        table = self.stored.take(rows, REPRESENTATIONS)
        pair = self.checks.vectors(self.keys.of(rows), table, self._width)
        return pair[REPRESENTATIONS.index(column)]

    @cached_property
    def _width(self) -> int | None:
        """The number of values in a representation, from the first row; None without rows."""
        if not len(self.keys.index):
            return None
        column = self.stored.take([0], REPRESENTATIONS)[REPRESENTATIONS[0]]
        return int(pc.list_value_length(column)[0].as_py() or 0)

    def look(self) -> None:
        """Compare the first row, if there is one, with the canvas before memory is allocated;
        nothing is decoded or kept.
        """
        if not len(self.keys.index):
            return
        for column in self._inputs:
            self.checks.headers(self.keys.of([0]), column, self.stored.take([0], [column]))
        self.vectors(REPRESENTATIONS[0], [0])
        self.stored.forget()

    def check(self, rows: Sequence[int]) -> None:
        """Read some rows, which checks them."""
        for column in self._inputs:
            self.values(column, rows)
        self.vectors(REPRESENTATIONS[0], rows)

    def batches(self, size: int) -> Iterator[NDArray[np.int64]]:
        """The places of all rows, in the order in which they lie on disk."""
        order = self.stored.order()
        return (order[first : first + size] for first in range(0, len(order), size))

    def to_dataset(self) -> datasets.Dataset:
        """All rows, checked, so that `datasets` may decode them."""
        for rows in self.batches(_AT_ONCE):
            self.check(rows.tolist())
        table = self.stored.take(range(len(self.keys.index)), list(self.features))
        return datasets.Dataset(table.cast(self.features.arrow_schema))
