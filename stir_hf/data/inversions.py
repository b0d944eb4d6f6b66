"""Inversions as a dataset of their own: pairs (image, inverted), read from disk as they are asked
for.
"""

import os
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from numpy.typing import NDArray

from stir_hf.data import folder as folders
from stir_hf.data.columns import Pixels
from stir_hf.data.located import located
from stir_hf.data.manifest import FILE_NAME, Manifest
from stir_hf.data.parts import merge
from stir_hf.data.prefix import WHOLE, selected
from stir_hf.data.shards import copied, files_of, give_way
from stir_hf.data.spread import Spread, SpreadOfSet
from stir_hf.data.stored import Stored, reading
from stir_hf.errors import RequestError
from stir_hf.inputs.base import Kind, kind_of


class _Keeper:
    """What a temporary folder lives as long as."""


@dataclass(frozen=True, eq=False)
class Inversions:
    """One row per (image, draw), sorted by (index, draw); numbers as NumPy arrays.

    Held in memory are index, draw, status and error; all else comes from disk when it is asked
    for. An image that could not be read or inverted is not among the rows (`left_out`).
    """

    path: Path
    """The folder of the set: its parquet files and `inversions.json`."""
    manifest: Manifest
    """What made the set: its identity with the hash of it, and the names that results show."""
    num_samples: int
    """Images of the prefix that this is, those that were left out included."""
    draws: int
    """Inversions per image; there is a row for each (index, draw)."""
    stored: Stored = field(repr=False)
    """The rows in the files."""
    index: NDArray[np.int64] = field(repr=False)
    """(n,): the image's row in its split."""
    draw: NDArray[np.int32] = field(repr=False)
    """(n,): which inversion of that image."""
    relative_error: NDArray[np.float32] = field(repr=False)
    """(n,): of the stored image."""
    converged: NDArray[np.bool_] = field(repr=False)
    """(n,): whether the error is at or below the tolerance."""
    left_out: dict[int, str] = field(default_factory=dict)
    """The images that are not among the rows, by index: `not_finite` or `unreadable`."""
    originals: "Callable[[Sequence[int], Sequence[str]], NDArray[np.float32]] | None" = field(
        default=None, repr=False
    )
    """Of a set without its originals: from their indices and canvas hashes to their pixels."""
    keeper: object = field(default=None, repr=False)
    """Keeps a temporary folder as long as somebody holds this."""

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
            folder = folders.temporary()
            try:
                (made, *others) = merge(path, folder)
                if others:
                    raise RequestError(f"{path[0]} holds {1 + len(others)} inversion sets")
                return cls.read(made).removed_with(folder)
            except BaseException:
                folders.remove(folder)
                raise
        sets = located(path)
        if len(sets) > 1:
            shown = ", ".join(str(s) for s in sets)
            raise RequestError(f"{path} holds {len(sets)} inversion sets; give one: {shown}")
        return cls.read(sets[0])

    @classmethod
    def load_all(cls, path: str | os.PathLike[str]) -> "list[Inversions]":
        """The finished parts of all sets under a folder or in a repo on the Hub, by name.

        Raises:
            RequestError: no inversion set there, no such repo, or a set that is not finished.
        """
        return [cls.read(folder) for folder in located(path)]

    @classmethod
    def read(
        cls,
        folder: Path,
        num_samples: int | None = None,
        draws: int | None = None,
        part: slice = WHOLE,
    ) -> "Inversions":
        """A prefix of the set in `folder`, or a part of it; None: what is recorded as finished.

        Raises:
            RequestError: not all of that prefix is there.
        """
        manifest = Manifest.read(folder)
        if manifest.complete is None and (num_samples is None or draws is None):
            raise RequestError(
                f"{folder} holds no finished inversions yet; run the command that makes them again,"
                " and it continues"
            )
        done = manifest.complete or {}
        count, k = num_samples or done["num_samples"], draws or done["draws"]
        found = reading(lambda: selected(folder, manifest, count, k, part))
        return cls(folder, manifest, len(range(count)[part]), k, **found)

    def prefix(self, num_samples: int | None = None, draws: int | None = None) -> "Inversions":
        """The same set with fewer images or draws, as if no more had been asked for.

        Raises:
            RequestError: more than there are.
        """
        if num_samples is None and draws is None:
            return self
        part = self.read(self.path, num_samples or self.num_samples, draws or self.draws)
        return replace(part, keeper=self.keeper)

    def of(self, indices: set[int], left_out: Mapping[int, str] | None = None) -> "Inversions":
        """The same set without the rows of other images; `left_out` says why they are not there."""
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
        target = Path(folder).expanduser()
        if target.resolve() == self.path.resolve():
            return target
        if (target / FILE_NAME).exists() and Manifest.read(target).hash != self.manifest.hash:
            raise RequestError(
                f"{target} holds inversions that were made otherwise; choose another folder"
            )
        target.mkdir(parents=True, exist_ok=True)
        manifest = Manifest.read(self.path)  # first: what it calls finished is in the files by then
        give_way(target, reading(lambda: copied(files_of(self.path), target)))
        manifest.write(target)
        return target

    def push_to_hub(self, repo_id: str, **how: Any) -> str:
        """Send the finished part of the set to a dataset repo on the Hub; returns its URL.

        Args:
            repo_id: `NAMESPACE/NAME`, made where there is none.
            how: `private`, `without_images`, `create_pr`, as those of `stir-hf push`.

        Raises:
            RequestError: a repo that this token may not write; what is not public into a public
                repo; other bytes for a row that is published.
            RunError: the Hub refuses, or is away for longer than the patience lasts.
        """
        from stir_hf.publish import send

        whole = {"num_samples": self.num_samples, "draws": self.draws}
        if whole != Manifest.read(self.path).complete:
            raise RequestError(f"this is a part of {self.path}; push the whole set")
        return send(repo_id, [self.path], None, **how)

    def removed_with(self, folder: Path) -> "Inversions":
        """This set, with a temporary folder that goes when it and all that was made of it do."""
        keeper = _Keeper()
        weakref.finalize(keeper, folders.remove, folder)
        return replace(self, keeper=keeper)

    def __len__(self) -> int:
        return len(self.index)

    @property
    def recipe(self) -> dict[str, Any]:
        """What made the set, as results show it: names, engine and the hash of its identity."""
        identity = self.manifest.identity
        return {
            **self.manifest.names,
            "dtype": self.manifest.dtype,
            "inversion": {**identity["engine"], "draws": self.draws},
            "num_samples": self.num_samples,
            "hash": self.manifest.hash[:16],
        }

    @cached_property
    def kind(self) -> Kind:
        """What the reference consumes: the canvas."""
        return kind_of(self.manifest.identity["canvas"])

    @property
    def size(self) -> tuple[int, int]:
        """The canvas, (h, w)."""
        height, width = self.kind.shape[-2:]
        return height, width

    @property
    def features(self) -> datasets.Features:
        """The columns with their types."""
        return self.stored.features

    @property
    def image(self) -> Pixels:
        """(n, c, h, w) in [0, 1]: the originals on the canvas, read from disk as they are
        indexed.
        """
        return self._column("image")

    @property
    def inverted(self) -> Pixels:
        """(n, c, h, w) in [0, 1]: the inversions as they are stored, read from disk as they are
        indexed.
        """
        return self._column("inverted")

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
        return np.asarray(self._take("label", range(len(self)))["label"])

    @property
    def spread(self) -> Spread | None:
        """Of the reference's representations of the images, each once, in float64; None where there
        are fewer than two images, or all are represented the same.
        """
        return self._spread.of_images

    @property
    def spread_error(self) -> NDArray[np.float64] | None:
        """(n,): the distance of `relative_error` over the spread; None where there is none."""
        if self.spread is None:
            return None
        return self.relative_error * self._spread.lengths / self.spread.spread

    @cached_property
    def _spread(self) -> SpreadOfSet:
        return SpreadOfSet.of(self)

    def _column(self, name: str) -> Pixels:
        return Pixels(partial(self.pixels, name), (len(self), *self.kind.shape))

    def pixels(self, column: str, rows: Iterable[int] | None = None) -> NDArray[np.float32]:
        """(b, *shape) in the kind's bounds: `image`, `inverted` or `start` of some rows, or all."""
        some = list(range(len(self)) if rows is None else rows)
        if column == "image" and column not in self.features:
            return self._from_source(some)
        found = self._take(column, some)
        values = [self.kind.restore(value) for value in found[column]]
        return np.stack(values) if values else np.zeros((0, *self.kind.shape), np.float32)

    def _from_source(self, rows: Sequence[int]) -> NDArray[np.float32]:
        if self.originals is None:
            raise RequestError(
                f"the inversions of {self.manifest.names['reference']} were published without the"
                " originals; stir_hf.score takes them from their dataset"
            )
        hashes = self._take("canvas_hash", rows)["canvas_hash"]
        return self.originals([int(self.index[i]) for i in rows], list(hashes))

    def vectors(self, column: str, rows: Iterable[int] | None = None) -> NDArray[np.float32]:
        """(b, d): a column of representations, of some rows or all."""
        found = self._take(column, range(len(self)) if rows is None else list(rows))
        return np.asarray(found.with_format("numpy")[column][:], np.float32).reshape(len(found), -1)

    def _take(self, column: str, rows: Sequence[int]) -> datasets.Dataset:
        return self.stored.take(rows, [column])

    def batches(self, size: int) -> Iterator[NDArray[np.int64]]:
        """Row numbers that cover the set, in the order in which they lie on disk."""
        order = self.stored.order()
        return (order[first : first + size] for first in range(0, len(order), size))

    def to_dataset(self) -> datasets.Dataset:
        """All rows as a `datasets.Dataset` in memory, sorted by (index, draw)."""
        return self.stored.take(range(len(self)), [str(name) for name in self.features])
