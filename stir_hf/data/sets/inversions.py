"""Inversions as a dataset: pairs (original, inverted), read from disk when they are indexed."""

import os
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from numpy.typing import NDArray

from stir_hf.data.files.broken import of_set
from stir_hf.data.files.columns import ArrayOnDisk
from stir_hf.data.files.reader import Originals, Reader
from stir_hf.data.files.row_checks import Keys, RowChecks
from stir_hf.data.files.stored import Stored, reading
from stir_hf.data.sets import folder as folders
from stir_hf.data.sets.located import located, only_set
from stir_hf.data.sets.manifest import Manifest
from stir_hf.data.sets.parts import copy_set, merged
from stir_hf.data.sets.prefix import WHOLE, selected
from stir_hf.data.sets.spread import Spread, SpreadOfSet
from stir_hf.errors import RequestError
from stir_hf.inputs.base import Kind

_ROWS = 64
"""Most representations in memory at a time."""


class _Keeper:
    """Deletes a temporary folder when it is garbage-collected."""


@dataclass(frozen=True, eq=False, repr=False)
class Inversions:
    """One row per (image, draw), sorted by (index, draw); numbers as NumPy arrays.

    Index, draw, status and error are in memory; everything else is read from disk when it is
    used. An original that could not be read or inverted is not among the rows (`left_out`).
    """

    path: Path
    """The folder of the set: its parquet files and `inversions.json`."""
    manifest: Manifest
    """The set's identity with its hash, and the names that results show."""
    num_samples: int
    """Originals of this prefix of the set, those that were left out included."""
    draws: int
    """Inversions per original; there is a row for each (index, draw)."""
    stored: Stored
    """The rows in the files."""
    index: NDArray[np.int64]
    """(n,): the row of the original in its split."""
    draw: NDArray[np.int32]
    """(n,): the number of the inversion of that original, from 0."""
    relative_error: NDArray[np.float32]
    """(n,): of the stored inversion."""
    converged: NDArray[np.bool_]
    """(n,): True if the error is at or below the tolerance."""
    left_out: dict[int, str] = field(default_factory=dict)
    """The originals that are not among the rows, by index: `not_finite` or `unreadable`."""
    originals: Originals | None = None
    """For a set without its originals: from their indices and canvas hashes to their values."""
    called: str | None = None
    """Name of the set in messages, with repo and commit, if it is from the Hub."""
    _keeper: object = None
    """Keeps a temporary folder while this set or a part of it exists."""

    @classmethod
    def load(
        cls, path: "str | os.PathLike[str] | Sequence[str | os.PathLike[str]]"
    ) -> "Inversions":
        """Load the finished part of one inversion set, from its folder, a folder DIR or a dataset
        repo on the Hub (`id`, `id@revision`) that holds exactly one; or, from a list of folders,
        the set whose parts they hold (`stir-hf merge`), joined in a temporary one.

        Raises:
            RequestError: no inversion set there, several, or one that is not finished.
        """
        if not isinstance(path, str | os.PathLike):
            folder, made = merged(path)
            try:
                return cls.read(made).deleting(folder)
            except BaseException:
                folders.remove(folder)
                raise
        place = only_set(path)
        return cls.read(place.path, called=place.called)

    @classmethod
    def load_all(cls, path: str | os.PathLike[str]) -> "list[Inversions]":
        """The finished parts of all sets under a folder or in a repo on the Hub, by name.

        Raises:
            RequestError: no inversion set there, no such repo, or a set that is not finished.
        """
        return [cls.read(one.path, called=one.called) for one in located(path)]

    @classmethod
    def read(
        cls,
        folder: Path,
        num_samples: int | None = None,
        draws: int | None = None,
        part: slice = WHOLE,
        called: str | None = None,
    ) -> "Inversions":
        """A prefix of the set in `folder`, or a part of it; None: what is recorded as finished.

        Args:
            folder: of the set.
            num_samples: images of the prefix.
            draws: inversions of each.
            part: positions in the prefix.
            called: the set in messages, where it is one of the Hub.

        Raises:
            BrokenError: a set that is not as stir-hf writes it; the first row is looked at.
            RequestError: not all of that prefix is there.
        """
        with of_set(called):
            manifest = Manifest.read(folder)
            if manifest.complete is None and (num_samples is None or draws is None):
                raise RequestError(
                    f"{called or folder} holds no finished inversions yet; run the command that"
                    " makes them again, and it continues"
                )
            done = manifest.complete or {}
            count, k = num_samples or done["num_samples"], draws or done["draws"]
            found = reading(lambda: selected(folder, manifest, count, k, part, called))
            made = cls(folder, manifest, len(range(count)[part]), k, called=called, **found)
            made._reader.look()
        return made

    def prefix(self, num_samples: int | None = None, draws: int | None = None) -> "Inversions":
        """The same set with fewer images or draws, as if no more had been asked for.

        Raises:
            RequestError: more than there are.
        """
        if num_samples is None and draws is None:
            return self
        count, k = num_samples or self.num_samples, draws or self.draws
        part = self.read(self.path, count, k, called=self.called)
        return replace(part, _keeper=self._keeper)

    def restrict_to(
        self, indices: set[int], left_out: Mapping[int, str] | None = None
    ) -> "Inversions":
        """The same set with the rows of these originals only; `left_out` gives the status of the
        others.
        """
        keep = np.isin(self.index, sorted(indices))
        if bool(keep.all()):
            return self
        names = ("index", "draw", "relative_error", "converged")
        parts = {name: getattr(self, name)[keep] for name in names}
        lost = {**self.left_out, **(left_out or {})}
        return replace(self, stored=self.stored.only(keep), left_out=lost, **parts)

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Copy the whole set to a folder of its own; returns it. Rows that the folder holds of an
        earlier copy give way to those of this one, and stay where this one has none.

        Raises:
            RequestError: the folder holds another set.
        """
        return copy_set(self.path, self.manifest, Path(folder).expanduser())

    def push_to_hub(self, repo_id: str, **how: Any) -> str:
        """Send the finished part of the set to a dataset repo on the Hub; returns its URL.

        Args:
            repo_id: `NAMESPACE/NAME`, made where there is none.
            how: `private`, `without_images`, `create_pr`, as those of `stir-hf push`.

        Raises:
            RequestError: a repo that this token may not write; what is not public into a public
                repo; other bytes for a row that is published.
            RunError: the Hub refuses, or is away for longer than STIR_HF_HUB_TIMEOUT.
        """
        from stir_hf.publish import send

        whole = {"num_samples": self.num_samples, "draws": self.draws}
        if whole != Manifest.read(self.path).complete:
            raise RequestError(f"this is a part of {self.path}; push the whole set")
        return send(repo_id, [self.path], None, **how)

    def deleting(self, folder: Path) -> "Inversions":
        """The same set, which deletes a temporary folder when it and all its parts are gone."""
        keeper = _Keeper()
        weakref.finalize(keeper, folders.remove, folder)
        return replace(self, _keeper=keeper)

    def __len__(self) -> int:
        return len(self.index)

    def __repr__(self) -> str:
        names = {name: self.manifest.names[name] for name in ("reference", "layer", "dataset")}
        counts = {"num_samples": self.num_samples, "draws": self.draws, "rows": len(self)}
        shown = {**names, **counts, "path": self.called or str(self.path)}
        return f"Inversions({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    @property
    def recipe(self) -> dict[str, Any]:
        """The set as results describe it: names, engine and the hash of its identity."""
        identity = self.manifest.identity
        return {
            **self.manifest.names,
            "dtype": self.manifest.dtype,
            "engine": {**identity["engine"], "draws": self.draws},
            "num_samples": self.num_samples,
            "hash": self.manifest.hash[:16],
        }

    @cached_property
    def kind(self) -> Kind:
        """The kind of input."""
        return self._reader.checks.kind

    @cached_property
    def _reader(self) -> Reader:
        checks = RowChecks(self.called or str(self.path), self.manifest)
        keys = Keys(self.index, self.draw, self.relative_error, self.converged)
        return Reader(self.stored, checks, keys, self.originals)

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
        """(n, d): the reference's, of the image, read from disk."""
        return self.vectors("representation")

    @property
    def representation_inverted(self) -> NDArray[np.float32]:
        """(n, d): the reference's, of the stored inverted image, read from disk."""
        return self.vectors("representation_inverted")

    @property
    def label(self) -> NDArray[np.int64] | None:
        """(n,) when the dataset has labels."""
        if "label" not in self.features:
            return None
        return np.asarray(self.stored.take(range(len(self)), ["label"])["label"].to_pylist())

    @property
    def spread(self) -> Spread | None:
        """The spread of the reference's representations of the originals, each once, in float64;
        None where there are fewer than two originals, or all are represented the same.
        """
        return self._spread.of_originals

    @property
    def spread_error(self) -> NDArray[np.float64] | None:
        """(n,): the distance of `relative_error` over the spread; None where there is none."""
        if self.spread is None:
            return None
        return self.relative_error * self._spread.lengths / self.spread.spread

    @cached_property
    def _spread(self) -> SpreadOfSet:
        batches = ((rows, self.vectors("representation", rows)) for rows in self.batches(_ROWS))
        return SpreadOfSet.of(self.index, batches)

    def values(self, column: str, rows: Iterable[int] | None = None) -> NDArray[np.float32]:
        """(b, *shape): a column of inputs, of some rows or all.

        Args:
            column: the kind's name (`image`, `vector`) for the originals, `inverted` or `start`.
            rows: their numbers.

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
        """(b, d): a column of representations, of some rows or all.

        Raises:
            BrokenError: representations of other widths, or that are not finite, or whose distance
                is not the error that is stored with them.
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
