"""The columns of an inversion set as arrays, read from disk and checked as they are read."""

from collections.abc import Iterable, Iterator
from functools import cached_property, partial
from typing import Any

import datasets
import numpy as np
from numpy.typing import NDArray

from stir_hf.data.files.columns import ArrayOnDisk
from stir_hf.data.files.reader import Reader
from stir_hf.inputs.base import Kind


class RowArrays:
    """Rows of an inversion set, column by column; a set provides `_reader`."""

    @cached_property
    def _reader(self) -> Reader:
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self._reader.keys.index)

    @cached_property
    def kind(self) -> Kind:
        """The kind of input."""
        return self._reader.checks.kind

    @property
    def features(self) -> datasets.Features:
        """The columns with their types."""
        return self._reader.features

    @property
    def has_originals(self) -> bool:
        """False for a set that was published without its originals."""
        return self.kind.name in self.features

    @property
    def original(self) -> ArrayOnDisk:
        """(n, *shape): the originals as the reference is fed them, read from disk when indexed;
        images (n, c, h, w) in [0, 1], vectors (n, d).
        """
        return self._on_disk(self.kind.name)

    @property
    def image(self) -> ArrayOnDisk:
        """`original`, of a set of images."""
        return self._on_disk("image")

    @property
    def inverted(self) -> ArrayOnDisk:
        """(n, *shape): the inversions as they are stored, read from disk when indexed."""
        return self._on_disk("inverted")

    def _on_disk(self, column: str) -> ArrayOnDisk:
        if column not in (self.kind.name, "inverted"):
            raise AttributeError(f"these inversions are of {self.kind.name}s, not {column}s")
        return ArrayOnDisk(partial(self.values, column), (len(self), *self.kind.shape))

    @property
    def representation(self) -> NDArray[np.float32]:
        """(n, d): representations of the originals by the reference, read from disk."""
        return self.vectors("representation")

    @property
    def representation_inverted(self) -> NDArray[np.float32]:
        """(n, d): representations of the stored inversions by the reference, read from disk."""
        return self.vectors("representation_inverted")

    @property
    def label(self) -> NDArray[np.int64] | None:
        """(n,): the labels; None if the dataset has none."""
        if "label" not in self.features:
            return None
        return np.asarray(
            self._reader.stored.take(range(len(self)), ["label"])["label"].to_pylist()
        )

    def values(self, column: str, rows: Iterable[int] | None = None) -> NDArray[np.float32]:
        """(b, *shape): a column of inputs, for some rows or all.

        Args:
            column: the kind's name (`image`, `vector`) for the originals, `inverted` or `start`.
            rows: row numbers; None for all.

        Raises:
            BrokenError: an input that is not as stir-hf stores it, or does not have the hash of its
                row.
        """
        return self._reader.values(column, list(range(len(self)) if rows is None else rows))

    def contexts(self, rows: Iterable[int]) -> dict[str, NDArray[Any]]:
        """The context of some originals, (b, …) by name; {} for kinds without one."""
        return self._reader.contexts(list(rows))

    def originals_of(self, rows: Iterable[int]) -> NDArray[np.float32]:
        """(b, *shape): the originals of some rows."""
        return self.values(self.kind.name, rows)

    def vectors(self, column: str, rows: Iterable[int] | None = None) -> NDArray[np.float32]:
        """(b, d): a column of representations, for some rows or all.

        Raises:
            BrokenError: representations that differ in width, are not finite, or whose distance
                is not the error stored with them.
        """
        return self._reader.vectors(column, list(range(len(self)) if rows is None else rows))

    def batches(self, size: int) -> Iterator[NDArray[np.int64]]:
        """Row numbers that cover the set, in the order in which they lie on disk."""
        return self._reader.batches(size)

    def to_dataset(self) -> datasets.Dataset:
        """All rows as a `datasets.Dataset` in memory, sorted by (index, draw); each was checked.

        Raises:
            BrokenError: a row that is not as stir-hf stores it.
        """
        return self._reader.to_dataset()
