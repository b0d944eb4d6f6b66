"""Samples: rows of a split with stable indices, each decoded on demand."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from numpy.typing import NDArray

from stir_hf.data.identity import hash_of, order_of
from stir_hf.data.images.cells import is_ours, reason
from stir_hf.data.images.memory import as_images
from stir_hf.data.sources.columns import Column, bare, find_column, label_column
from stir_hf.data.sources.spec import DataSpec, check_enough
from stir_hf.data.sources.splits import STREAMS, Data, named, open_split
from stir_hf.data.vectors import as_vectors
from stir_hf.errors import RequestError, RunError
from stir_hf.hub import split_revision
from stir_hf.runtime import Watcher

HEADERS_LOOKED_AT = 10_000
"""Number of samples whose headers are read before any work; a later failure is left out."""

NAMED = 10
"""Number of unreadable samples that an error names."""

FIRST = 4
"""Number of first samples, in the order of the run, that identify the data."""


class UnreadableError(Exception):
    """A sample that cannot be decoded; the text says why."""


@dataclass(frozen=True)
class Sample:
    """One row of a split."""

    index: int
    """The row in the split; in a stream, the position."""
    original: Any
    """The decoded original: a PIL image, or a vector (d,) of float32."""
    label: int | None
    file_hash: str | None = None
    """16 hexadecimal digits of its encoded bytes, if they are on this machine."""


@dataclass(frozen=True)
class Samples:
    """The requested rows, in the order in which a run takes them."""

    rows: datasets.Dataset
    """The undecoded rows: row i is at position i."""
    order: NDArray[np.int64]
    """(n,): the row of the split at each position."""
    spec: DataSpec
    """The request, with the split filled in."""
    column: Column
    label_column: str | None
    total: int | None
    """Number of rows of the split; None for a stream."""
    candidates: tuple[int, int] | None
    """The first row of a slice and the row after its last; None for a whole split."""
    commit: str | None
    """The commit of a dataset on the Hub; None otherwise."""
    notes: tuple[str, ...] = ()
    """Notes of a result on the data, such as image files that are not in the split."""

    def __len__(self) -> int:
        return len(self.order)

    @property
    def modality(self) -> str:
        """The name of the kind of input."""
        return self.column.kind

    def read(self, position: int) -> Sample:
        """Decode the sample at a position.

        Raises:
            UnreadableError: it cannot be decoded, or its values have no known range.
            RunError: a file that cannot be read now.
        """
        index = int(self.order[position])
        try:
            row = self.rows[position]
            original, file_hash = self.column.read(row)
        except Exception as error:  # decoders raise errors of any type
            raise self._unreadable(index, error) from error
        label = row[self.label_column] if self.label_column else None
        return Sample(index, original, label, file_hash)

    def sample(self, position: int) -> Sample:
        """Like `read`, but the first four samples are decoded only once."""
        if position >= FIRST:
            return self.read(position)
        found = self.first[position]
        if isinstance(found, UnreadableError):
            raise found
        return found

    @cached_property
    def first(self) -> tuple[Sample | UnreadableError, ...]:
        """The first four samples, decoded once for all that ask."""
        found: list[Sample | UnreadableError] = []
        for position in range(min(FIRST, len(self))):
            try:
                found.append(self.read(position))
            except UnreadableError as error:
                found.append(error)
        return tuple(found)

    def _unreadable(self, index: int, error: Exception) -> UnreadableError:
        """The error for a sample; raises RunError if the machine or the network failed instead."""
        if is_ours(error):
            where = f"{self.modality} {index} of {self.spec.dataset}"
            raise RunError(f"{where} cannot be read now: {reason(error)}") from error
        return UnreadableError(reason(error))

    def file_hash(self, position: int) -> str | None:
        """The `file_hash` of the sample at a position, without decoding it."""
        return self.column.file_hash(self.rows[position])

    def is_nameless(self, position: int) -> bool:
        """True if the sample at a position is bytes without the name of a file."""
        return self.column.is_nameless(self.rows[position])

    def label(self, position: int) -> int | None:
        """The label of the sample at a position, without decoding it."""
        return self._labels[position]

    @cached_property
    def _labels(self) -> list[int | None]:
        if self.label_column is None:
            return [None] * len(self)
        found: list[int | None] = self.rows[self.label_column][:]
        return found

    @cached_property
    def shapes(self) -> frozenset[tuple[int, ...]]:
        """The shapes of the first 10,000 samples, from their headers.

        Raises:
            RequestError: samples without a readable header; their indices are named.
        """
        shapes, broken = set(), {}
        for position in range(min(len(self), HEADERS_LOOKED_AT)):
            index = int(self.order[position])
            try:
                shapes.add(self.column.shape(self.rows[position]))
            except Exception as error:  # as in `read`
                broken[index] = str(self._unreadable(index, error))
        if not broken:
            return frozenset(shape for shape in shapes if shape is not None)
        first, *others = sorted(broken)
        told = f"{self.modality} {first} of {self.spec.dataset} cannot be read: {broken[first]}"
        if others:
            shown = ", ".join(map(str, others[:NAMED])) + (", …" if len(others) > NAMED else "")
            several = "s" if len(others) > 1 else ""
            told += f"; nor can {len(others)} other{several}: {shown}"
        raise RequestError(told)

    def common_shape(self, model: str) -> tuple[int, ...]:
        """The common shape of all samples, for a model without a native size: (h, w) or (d,).

        Raises:
            RequestError: shapes that differ.
        """
        shapes = self.shapes or {np.asarray(self.sample(0).original).shape[:2]}
        if len(shapes) > 1:
            shown = ", ".join("x".join(map(str, shape[::-1])) for shape in sorted(shapes)[:3])
            advice = "; resize them" if self.modality == "image" else ""
            raise RequestError(
                f"{model} takes {self.modality}s at their own size, but they differ ({shown},"
                f" …){advice}"
            )
        return next(iter(shapes))

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the data, independent of the reference: the number of rows of the split and its
        first four samples, as 64 hexadecimal digits.
        """
        shown = [
            None if isinstance(s, UnreadableError) else [s.index, *self.column.record(s.original)]
            for s in self.first
        ]
        return hash_of({"rows": self.total, "first": shown})

    @property
    def label_feature(self) -> Any:
        """The feature of the label column; None without labels."""
        return self.rows.features[self.label_column] if self.label_column else None


def open_samples(data: Data, spec: DataSpec, progress: bool | Watcher = False) -> Samples:
    """Find the samples of `data` and read their headers, so that broken ones are reported before
    any work.

    Args:
        data: Hub id, local folder, or a dataset in memory.
        spec: the request; for data in memory, `spec.dataset` is only a description.
        progress: show a progress bar while a stream is read, or a watcher that is called instead.

    Raises:
        RequestError: no such dataset, split or column; too few samples; an unreadable sample.
    """
    whole, part = _slice_of(spec)
    given = _found(data)
    if part and (whole.streaming or isinstance(given, STREAMS)):
        raise RequestError(f"split {spec.split!r}: a stream has no slices; use num_samples")
    asked = whole.split is not None
    opened = open_split(given, whole, progress)
    split, whole = opened.rows, opened.spec
    spec = replace(spec, split=f"{whole.split}[{part}]" if part else whole.split)
    total = None if opened.stream else len(split)
    column = find_column(split.features, spec)
    candidates = _rows_of(part, len(split), spec) if part else None
    candidates = None if candidates == (0, total) else candidates
    there = len(split) if candidates is None else max(0, candidates[1] - candidates[0])
    check_enough(there, spec)
    order = order_of(total, spec.num_samples or there, candidates)
    rows = bare(split, spec)
    if opened.roots is not None:
        column.check_files(rows.data, opened.roots)
    samples = Samples(
        rows.select(order),
        order,
        spec,
        column,
        label_column(rows.features),
        total,
        candidates,
        opened.commit,
        opened.notes(column.name, asked=asked),
    )
    if samples.shapes and column.kind == "vector":
        samples.common_shape(spec.dataset)
    return samples


def check_split(spec: DataSpec, rows: Mapping[str, int]) -> None:
    """Check the request for a split, or a slice of one, of data whose splits and numbers of rows
    are known, before anything is opened.

    Raises:
        RequestError: no such split or slice, or too few samples.
    """
    whole, part = _slice_of(spec)
    total = rows[str(named(whole, rows).split)]
    first, end = _rows_of(part, total, spec) if part else (0, total)
    check_enough(max(0, end - first), spec)


def _found(data: Any) -> Any:
    """A folder or dataset unchanged, a name without its revision, and images or vectors in memory
    as a dataset.
    """
    if isinstance(data, (Path, datasets.Dataset, datasets.DatasetDict, *STREAMS)):
        return data
    if isinstance(data, str):
        return split_revision(data, "dataset")[0]
    if (vectors := as_vectors(data)) is not None:
        return vectors
    columns = datasets.Features(image=datasets.Image())
    return datasets.Dataset.from_dict({"image": as_images(data)}, features=columns)


def _slice_of(spec: DataSpec) -> tuple[DataSpec, str | None]:
    """Separate a split such as `test[:500]` into the spec of the whole split and the slice."""
    name, bracket, part = (spec.split or "").partition("[")
    if not bracket:
        return spec, None
    return replace(spec, split=name), part.removesuffix("]")


def _rows_of(part: str, total: int, spec: DataSpec) -> tuple[int, int]:
    try:
        (found,) = datasets.ReadInstruction.from_spec(f"all[{part}]").to_absolute({"all": total})
    except (AssertionError, ValueError, KeyError) as error:
        raise RequestError(
            f"split {spec.split!r} is not a slice of {total} rows; expected NAME[10:20], NAME[:10%]"
            " or the like"
        ) from error
    return found.from_ or 0, total if found.to is None else found.to
