"""Inversions as a dataset: pairs (original, inverted), read from disk on indexing."""

import os
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stir_hf.data.files.arrays import RowArrays
from stir_hf.data.files.broken import of_set
from stir_hf.data.files.stored import reading
from stir_hf.data.sets import folder as folders
from stir_hf.data.sets.located import located, only_set
from stir_hf.data.sets.manifest import Manifest
from stir_hf.data.sets.parts import copy_set, merge_one
from stir_hf.data.sets.prefix import WHOLE, Prefix
from stir_hf.data.sets.spread import Spread, spread_of
from stir_hf.errors import RequestError

_ROWS = 64
"""Number of representations in memory at a time."""


class _Keeper:
    """Deletes a temporary folder when it is garbage-collected."""


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Inversions(RowArrays):
    """One row per (original, draw), sorted by (index, draw); numbers as NumPy arrays.

    Index, draw, status and error are in memory; everything else is read from disk when it is
    used. Originals that could not be read or inverted have no rows (`left_out`).
    """

    num_samples: int
    """Number of originals in this prefix of the set, including those that were left out."""
    draws: int
    """Number of inversions per original; there is a row for each (index, draw)."""
    left_out: dict[int, str] = field(default_factory=dict)
    """The originals without rows, by index: `not_finite` or `unreadable`."""
    _keeper: object = None
    """Keeps a temporary folder while this set or a subset of it exists."""

    @classmethod
    def load(
        cls, path: "str | os.PathLike[str] | Sequence[str | os.PathLike[str]]"
    ) -> "Inversions":
        """Load the finished prefix of one inversion set.

        Args:
            path: the folder of the set; or the folder of a run or a dataset repo on the Hub (`id`,
                `id@revision`) that holds exactly one set; or a list of folders with the parts of
                one set, which are joined in a temporary folder as `stir-hf merge` does.

        Raises:
            RequestError: no inversion set there, several, or one that is not finished.
        """
        if not isinstance(path, str | os.PathLike):
            folder = folders.temporary()
            try:
                return cls.read(merge_one(path, folder)).deleting(folder)
            except BaseException:
                folders.remove(folder)
                raise
        place = only_set(path)
        return cls.read(place.path, called=place.called)

    @classmethod
    def load_all(cls, path: str | os.PathLike[str]) -> "list[Inversions]":
        """The finished prefixes of all sets under a folder or in a repo on the Hub, by name.

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
        """Read a prefix of the set in `folder`, or a part of that prefix.

        Args:
            folder: the folder of the set.
            num_samples: originals of the prefix; None for the recorded finished ones.
            draws: inversions of each original; None for the recorded finished ones.
            part: positions in the prefix.
            called: name of the set in messages, if it is from the Hub.

        Raises:
            BrokenError: stir-hf did not write the set like this; the first row is checked.
            RequestError: the prefix is not complete.
        """
        with of_set(called):
            manifest = Manifest.read(folder)
            if manifest.complete is None and (num_samples is None or draws is None):
                raise RequestError(
                    f"{called or folder} holds no finished inversions yet; run its command again"
                    " to continue it"
                )
            done = manifest.complete or {}
            count, k = num_samples or done["num_samples"], draws or done["draws"]
            found = reading(Prefix(folder, manifest, count, k, part, called).selected)
            made = cls(
                path=folder,
                manifest=manifest,
                num_samples=len(range(count)[part]),
                draws=k,
                called=called,
                **found,
            )
            made.look()
        return made

    def prefix(self, num_samples: int | None = None, draws: int | None = None) -> "Inversions":
        """The same set with fewer originals or draws, as if it had been made with these numbers.

        Raises:
            RequestError: more originals or draws than the set has.
        """
        if num_samples is None and draws is None:
            return self
        count, k = num_samples or self.num_samples, draws or self.draws
        part = self.read(self.path, count, k, called=self.called)
        return replace(part, _keeper=self._keeper)

    def restrict_to(
        self, indices: set[int], left_out: Mapping[int, str] | None = None
    ) -> "Inversions":
        """The same set with only these originals; `left_out` gives the status of the others."""
        keep = np.isin(self.index, sorted(indices))
        if bool(keep.all()):
            return self
        names = ("index", "draw", "relative_error", "converged")
        parts = {name: getattr(self, name)[keep] for name in names}
        lost = {**self.left_out, **(left_out or {})}
        return replace(self, stored=self.stored.only(keep), left_out=lost, **parts)

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Copy the whole set to a folder and return its path. Rows of an earlier copy in the folder
        are replaced by the rows of this one, and kept if this one does not have them.

        Raises:
            RequestError: the folder holds another set.
        """
        return copy_set(self.path, self.manifest, Path(folder).expanduser())

    def push_to_hub(self, repo_id: str, **how: Any) -> str:
        """Push the finished prefix of the set to a dataset repo on the Hub, and return its URL.

        Args:
            repo_id: `NAMESPACE/NAME`; created if it does not exist.
            how: `private`, `without_images` and `create_pr`, like the options of `stir-hf push`.

        Raises:
            RequestError: the token cannot write to the repo; data from private sources for a
                public repo; a row that differs from the published one.
            RunError: the Hub refuses, or is unavailable for longer than STIR_HF_HUB_TIMEOUT.
        """
        from stir_hf.publish import send

        whole = {"num_samples": self.num_samples, "draws": self.draws}
        if whole != Manifest.read(self.path).complete:
            raise RequestError(f"this is a part of {self.path}; push the whole set")
        return send(repo_id, [self.path], None, **how)

    def deleting(self, folder: Path) -> "Inversions":
        """The same set; a temporary folder is deleted with the last reference to its rows."""
        keeper = _Keeper()
        weakref.finalize(keeper, folders.remove, folder)
        return replace(self, _keeper=keeper)

    def __repr__(self) -> str:
        names = {name: self.manifest.names[name] for name in ("reference", "layer", "dataset")}
        counts = {"num_samples": self.num_samples, "draws": self.draws, "rows": len(self)}
        shown = {**names, **counts, "path": self.called or str(self.path)}
        return f"Inversions({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    @cached_property
    def draw_distance(self) -> float | None:
        """The mean distance between the inversions of one original: the root mean square difference
        of two of them, over all pairs and originals; None with one draw.
        """
        if self.draws < 2 or not len(self):
            return None
        one, two = np.triu_indices(self.draws, 1)
        found = [
            np.sqrt(np.square(values[one] - values[two], dtype=np.float64).mean(1)).mean()
            for first in range(0, len(self), self.draws)
            for values in [
                self.values("inverted", range(first, first + self.draws)).reshape(self.draws, -1)
            ]
        ]
        return float(np.mean(found))

    @property
    def engine(self) -> dict[str, Any]:
        """The options of the engine that made the set, as its identity spells them."""
        found: dict[str, Any] = self.manifest.identity["engine"]
        return found

    @property
    def recipe(self) -> dict[str, Any]:
        """The description of the set in results: names, engine and the hash of its identity."""
        identity = self.manifest.identity
        return {
            **self.manifest.names,
            "dtype": self.manifest.dtype,
            "engine": {**identity["engine"], "draws": self.draws},
            "num_samples": self.num_samples,
            "hash": self.manifest.hash[:16],
        }

    @property
    def spread(self) -> Spread | None:
        """The spread of the reference's representations of the originals, each once, in float64;
        None if there are fewer than two originals, or all have the same representation.
        """
        return self._lengths_and_spread[1]

    @property
    def spread_error(self) -> NDArray[np.float64] | None:
        """(n,): like `relative_error`, but divided by the spread; None without a spread."""
        lengths, spread = self._lengths_and_spread
        return None if spread is None else self.relative_error * lengths / spread.spread

    @cached_property
    def _lengths_and_spread(self) -> tuple[NDArray[np.float64], Spread | None]:
        """(n,): the length of each row's original as represented; and their spread."""
        lengths, once = np.zeros(len(self)), np.zeros(len(self), bool)
        once[np.unique(self.index, return_index=True)[1]] = True

        def originals() -> Iterator[NDArray[np.float64]]:
            for rows in self.batches(_ROWS):
                vectors = self.vectors("representation", rows).astype(np.float64)
                lengths[rows] = np.linalg.norm(vectors, axis=1)
                yield vectors[once[rows]]

        spread = spread_of(originals())
        return lengths, spread
