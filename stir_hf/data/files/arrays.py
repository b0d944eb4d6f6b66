"""The rows of an inversion set as arrays, read from disk and checked as they are read."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from stir_hf.data.files.columns import CLASS_KEPT, ArrayOnDisk, features_of
from stir_hf.data.files.row_checks import REPRESENTATIONS, RowChecks
from stir_hf.data.files.stored import Stored
from stir_hf.data.sets.manifest import Manifest
from stir_hf.errors import RequestError
from stir_hf.inputs.base import Kind

_AT_ONCE = 64

Originals = Callable[[Sequence[int], Sequence[str]], NDArray[np.float32]]
"""Function from the indices and canvas hashes of originals to their values."""


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class RowArrays:
    """Rows of an inversion set, column by column, sorted by (index, draw). What reads rows from
    disk raises BrokenError, naming the set, index and draw of the first inconsistent row.
    """

    path: Path
    """The folder of the set: its parquet files and `inversions.json`."""
    manifest: Manifest
    """The set's identity with its hash, and the names that results show."""
    stored: Stored
    """The rows in the files."""
    index: NDArray[np.int64]
    """(n,): the row of the original in its split."""
    draw: NDArray[np.int32]
    """(n,): the number of the inversion of that original, from 0."""
    relative_error: NDArray[np.float32]
    """(n,): the relative error of the inversion, whose distance to the reference is stored."""
    converged: NDArray[np.bool_]
    """(n,): True if the error is at or below the tolerance."""
    originals: Originals | None = None
    """For a set without originals: function from their indices and canvas hashes to values."""
    called: str | None = None
    """Name of the set in messages, with repo and commit, if it is from the Hub."""

    def __len__(self) -> int:
        return len(self.index)

    @cached_property
    def _checks(self) -> RowChecks:
        called, keys = self.called or str(self.path), (self.index, self.draw)
        return RowChecks(called, self.manifest, *keys, self.relative_error, self.converged)

    @property
    def kind(self) -> Kind:
        """The kind of input."""
        return self._checks.kind

    @cached_property
    def features(self) -> datasets.Features:
        """The columns with their types."""
        exact = self.manifest.identity["engine"]["exact"]
        return features_of(self.stored.schema, self.kind, exact)

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
        return np.asarray(self.stored.take(range(len(self)), ["label"])["label"].to_pylist())

    @property
    def class_kept(self) -> NDArray[np.bool_] | None:
        """(n,): True if the reference gives an inversion the class of its original; None if that is
        not known of every row, since the reference has no classes or the method does not ask.
        """
        if CLASS_KEPT not in self.features:
            return None
        found = self.stored.take(range(len(self)), [CLASS_KEPT])[CLASS_KEPT]
        return None if found.null_count else np.array(found.to_pylist(), bool)

    def values(self, column: str, rows: Iterable[int] | None = None) -> NDArray[np.float32]:
        """(b, *shape): a column of inputs, for some rows or all.

        Args:
            column: the kind's name (`image`, `vector`) for the originals, `inverted` or `start`.
            rows: row numbers; None for all.

        Raises:
            BrokenError: an input that is not as stir-hf stores it, or does not have the hash of its
                row.
            RequestError: the originals are not available.
        """
        some = self._numbers(rows)
        if column != self.kind.name:
            return self._checks.values(some, column, self.stored.take(some, [column]))
        if not self.has_originals:
            return self._from_source(some)
        table = self.stored.take(some, [column, "canvas_hash"])
        return self._checks.values(some, column, table)

    def _from_source(self, rows: list[int]) -> NDArray[np.float32]:
        if self.originals is None:
            raise RequestError(
                f"the inversions of {self.manifest.names['reference']} were published"
                " without the originals; stir_hf.score takes them from their dataset"
            )
        hashes = self.stored.take(rows, ["canvas_hash"])["canvas_hash"].to_pylist()
        return self.originals(self.index[rows].tolist(), hashes)

    def originals_of(self, rows: Iterable[int]) -> NDArray[np.float32]:
        """(b, *shape): the originals of some rows."""
        return self.values(self.kind.name, rows)

    def restarts(self, rows: Iterable[int] | None = None) -> NDArray[np.int64]:
        """(b,): the number of the restart that gave each inversion; 0 is the first start."""
        return self._small("restart", self._numbers(rows))

    @property
    def tried(self) -> NDArray[np.int64]:
        """(n,): the number of starts that were tried for each inversion."""
        return self._small("tried", self._numbers(None), missing=1)

    @property
    def unstored_error(self) -> NDArray[np.float32] | None:
        """(n,): the relative error before inversions were cut off at the bounds to be stored; None
        for sets within the bounds.
        """
        if "unstored_error" not in self.features:
            return None
        found = self.stored.values("unstored_error", np.arange(len(self)))
        return np.array(found, np.float32)

    def starts_of(self, rows: Iterable[int]) -> NDArray[np.int64]:
        """(b,): the index of the original from which each inversion started.

        Raises:
            BrokenError: a row that does not say so.
        """
        some = self._numbers(rows)
        found = self._small("start_index", some, missing=-1)
        for row in np.flatnonzero(found < 0).tolist():
            raise self._checks.bad(some[row], "it does not say from which original it started")
        return found

    def _small(self, column: str, rows: list[int], missing: int = 0) -> NDArray[np.int64]:
        if column not in self.features:
            return np.full(len(rows), missing)
        found = self.stored.values(column, np.asarray(rows, np.int64))
        return np.array([missing if one is None else one for one in found], np.int64)

    def originals_at(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """(b, *shape): the originals at some indices of the split, whether or not they are in this
        prefix or could be inverted.

        Raises:
            BrokenError: one that the set does not hold.
            RequestError: the originals are not available.
        """
        different, back = np.unique(indices, return_inverse=True)
        table = self.stored.at_indices(different, [self.kind.name] * self.has_originals)
        if self.has_originals:
            return self._checks.values([0] * len(table), self.kind.name, table)[back]
        if self.originals is None:
            raise RequestError("the originals of these inversions are not here")
        return self.originals(different.tolist(), table["canvas_hash"].to_pylist())[back]

    def contexts(self, rows: Iterable[int]) -> dict[str, NDArray[Any]]:
        """Return what a pass takes beside these originals, (b, …) by name: masks, say."""
        some = self._numbers(rows)
        if not self.kind.has_context or not some:
            return {}
        table = self.stored.take(some, [self.kind.name])
        canvases = self._checks.canvases(some, self.kind.name, table)
        found = [self.kind.context(canvas) for canvas in canvases]
        return {name: np.stack([one[name] for one in found]) for name in found[0]}

    def vectors(self, column: str, rows: Iterable[int] | None = None) -> NDArray[np.float32]:
        """(b, d): a column of representations, for some rows or all.

        Raises:
            BrokenError: representations that differ in width, are not finite, or whose distance
                is not the error stored with them.
        """
        some = self._numbers(rows)
        table = self.stored.take(some, REPRESENTATIONS)
        pair = self._checks.vectors(some, table, self._width)
        return pair[REPRESENTATIONS.index(column)]

    @cached_property
    def _width(self) -> int:
        """The number of values in a representation, from the first row; 0 without rows."""
        if not len(self):
            return 0
        column = self.stored.take([0], REPRESENTATIONS)[REPRESENTATIONS[0]]
        return int(pc.list_value_length(column)[0].as_py() or 0)

    def _numbers(self, rows: Iterable[int] | None) -> list[int]:
        return list(range(len(self)) if rows is None else rows)

    def batches(self, size: int) -> Iterator[NDArray[np.int64]]:
        """Row numbers that cover the set, in the order in which they lie on disk."""
        order = self.stored.order()
        return (order[first : first + size] for first in range(0, len(order), size))

    @property
    def _inputs(self) -> list[str]:
        """The columns of inputs that are stored."""
        return [n for n in self.features if n in (self.kind.name, "inverted", "start")]

    def look(self) -> None:
        """Compare the first row, if there is one, with the canvas before memory is allocated;
        nothing is decoded or kept.
        """
        if not len(self):
            return
        for column in self._inputs:
            self._checks.headers([0], column, self.stored.take([0], [column]))
        self.vectors(REPRESENTATIONS[0], [0])
        self.stored.forget()

    def to_dataset(self) -> datasets.Dataset:
        """All rows as a `datasets.Dataset` in memory; each was checked, so that `datasets` may
        decode it.

        Raises:
            BrokenError: a row that is not as stir-hf stores it.
        """
        for rows in self.batches(_AT_ONCE):
            for column in self._inputs:
                self.values(column, rows)
            self.vectors(REPRESENTATIONS[0], rows)
        table = self.stored.take(range(len(self)), list(self.features))
        return datasets.Dataset(table.cast(self.features.arrow_schema))
