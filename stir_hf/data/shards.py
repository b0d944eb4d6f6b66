"""The rows of an inversion set on disk: small parts while it is made, compacted to large shards
when it is finished.

A row that is there twice is there identically, so that a kill at any moment, also while shards are
compacted, does no
harm: readers take the first.
"""

import os
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from datasets.features.features import require_decoding
from numpy.typing import NDArray

from stir_hf.data.cells import files_named
from stir_hf.errors import RequestError
from stir_hf.pointers import check_pointer

SHARD_BYTES = 200 << 20
GROUP_ROWS = 64
GROUP_BYTES = 1 << 20
"""A group of a shard has at least so many rows and bytes: what is read of it is read whole, and
what describes it is in memory all the time.
"""
UNREADABLE = "unreadable"
"""The status of a sample that could not be decoded; it is tried again."""

STATUSES = ("converged", "budget", "not_finite", UNREADABLE)

_PART, _SHARD = "part", "data"


def files_of(folder: Path) -> list[Path]:
    """The parquet files of a set: shards first, then parts."""
    return sorted(folder.glob(f"{_SHARD}-*.parquet")) + sorted(folder.glob(f"{_PART}-*.parquet"))


def append(folder: Path, rows: list[dict[str, Any]], columns: datasets.Features) -> None:
    """Put rows on disk, all or none. What this has returned from survives a kill."""
    if rows:
        whole = [{name: row.get(name) for name in columns} for row in rows]
        table = datasets.Dataset.from_list(whole, features=columns).data.table
        with NewFile(folder, f"{_PART}-{uuid.uuid4().hex}") as path:
            pq.write_table(table, path)


def as_part(name: str) -> str:
    """The name of a part with the rows of a file of another folder."""
    return f"{_PART}-{name.partition('-')[2]}"


class NewFile:
    """A file that takes its name when it is complete."""

    def __init__(self, folder: Path, name: str) -> None:
        """`name` is without the ending `.parquet`."""
        self.path = folder / f"{name}.parquet"
        self.partial = folder / f".{name}.{uuid.uuid4().hex[:8]}.partial"

    def __enter__(self) -> Path:
        return self.partial

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        if failed is not None:
            self.partial.unlink(missing_ok=True)
            return
        with self.partial.open("rb+") as file:
            os.fsync(file.fileno())
        self.partial.replace(self.path)


def compact(folder: Path, shard_bytes: int = SHARD_BYTES) -> None:
    """Join the parts, and shards that are less than half full, to shards of about `shard_bytes`.

    Nothing is removed before what replaces it is complete, and doing it again changes nothing.
    """
    for stale in folder.glob(".*.partial"):
        stale.unlink(missing_ok=True)
    parts = sorted(folder.glob(f"{_PART}-*.parquet"))
    if not parts:
        return
    shards = sorted(folder.glob(f"{_SHARD}-*.parquet"))
    small = [path for path in shards if path.stat().st_size < shard_bytes // 2]
    kept = [path for path in shards if path not in small]
    groups = _row_groups([*small, *parts], kept, min(GROUP_BYTES, shard_bytes // 8))
    while (first := next(groups, None)) is not None:
        _write_shard(folder, first, groups, shard_bytes)
    for path in [*small, *parts]:
        path.unlink()


def _write_shard(folder: Path, first: pa.Table, more: Iterator[pa.Table], limit: int) -> None:
    with (
        NewFile(folder, f"{_SHARD}-{uuid.uuid4().hex}") as path,
        path.open("wb") as file,
        pq.ParquetWriter(file, first.schema) as writer,
    ):
        table: pa.Table | None = first
        while table is not None:
            writer.write_table(table)
            table = next(more, None) if file.tell() < limit else None


def _row_groups(files: Sequence[Path], kept: Sequence[Path], least: int) -> Iterator[pa.Table]:
    """The rows of some files in groups of at least so many bytes, each (index, draw) once, without
    those that the files to be kept have.
    """
    wanted = _counting(files, kept)
    waiting: list[pa.Table] = []
    first = 0
    for path in files:
        with pq.ParquetFile(path) as file:
            for number in range(file.num_row_groups):
                table = file.read_row_group(number)
                here = np.flatnonzero(wanted[first : first + len(table)])
                first += len(table)
                waiting.append(table.take(pa.array(here, pa.int64())))
                enough = sum(table.nbytes for table in waiting) >= least
                if enough and sum(map(len, waiting)) >= GROUP_ROWS:
                    yield pa.concat_tables(waiting)
                    waiting = []
    if sum(map(len, waiting)):
        yield pa.concat_tables(waiting)


def _counting(files: Sequence[Path], kept: Sequence[Path]) -> NDArray[np.bool_]:
    """Which rows of some files count: of each (index, draw) the first, one that is kept before one
    that is not. A sample that could be read at last has a row that says so, which counts before one
    that says it could not.
    """
    rows, before = Rows([*kept, *files]), len(Rows(kept))
    index, draw, status = rows.columns("index", "draw", "status")
    counts = np.zeros(len(index), bool)
    counts[first_of_each(index, draw, status == STATUSES.index(UNREADABLE))] = True
    return counts[before:]


def first_of_each(
    index: NDArray[np.int64], draw: NDArray[np.int32], last: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """The number of the first row of each (index, draw), sorted by it; rows that are `last` come
    after all others.
    """
    order = np.lexsort((last, draw, index))  # stable: equal ones as they stand
    new = np.ones(len(order), bool)
    new[1:] = (np.diff(index[order]) != 0) | (np.diff(draw[order]) != 0)
    return order[new]


def _numbers(path: Path, names: Sequence[str]) -> pa.Table:
    table = pq.read_table(path, columns=list(names))
    if "status" not in names:
        return table
    codes = pc.index_in(table["status"], pa.array(STATUSES)).cast(pa.int8())
    return table.set_column(table.schema.get_field_index("status"), "status", codes)


def _held(rows: datasets.Dataset) -> datasets.Dataset:
    """Rows whose images are read from the bytes that the set itself holds, and from nothing else:
    `datasets` would open whatever file or address a row of another's set names.
    """
    for name, feature in rows.features.items():
        if isinstance(feature, datasets.Image):
            if named := files_named(rows.data.column(name)):
                raise RequestError(
                    f"column {name!r} of the inversions names the file {named[0]}; expected images"
                    " that the set itself holds"
                )
        elif require_decoding(feature):
            kind = type(feature).__name__
            raise RequestError(
                f"column {name!r} of the inversions is of type {kind}; expected images or numbers"
            )
    return rows


class Rows:
    """Rows of several parquet files by number, read a row group at a time; nothing is kept but the
    last group.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = list(files)
        self._groups: list[tuple[int, int]] = []
        sizes = []
        for i, path in enumerate(self.files):
            check_pointer(path)
            about = pq.read_metadata(path)
            self._groups += [(i, g) for g in range(about.num_row_groups)]
            sizes += [about.row_group(g).num_rows for g in range(about.num_row_groups)]
        self._ends = np.cumsum(sizes) if sizes else np.zeros(0, np.int64)
        self._last: dict[tuple[str, ...], tuple[int, pa.Table]] = {}

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    @property
    def schema(self) -> pa.Schema:
        """The columns, with what `datasets` recorded of their types."""
        return pq.read_schema(self.files[0])

    def columns(self, *names: str) -> list[NDArray[Any]]:
        """Columns of numbers of all rows, (n,) each; `status` as its number among `STATUSES`.
        Every file is opened once.
        """
        if not self.files:
            types = {"status": np.int8, "draw": np.int32, "relative_error": np.float32}
            return [np.zeros(0, types.get(name, np.int64)) for name in names]
        whole = pa.concat_tables(_numbers(path, names) for path in self.files)
        return [whole[name].to_numpy() for name in names]

    def hashes(self, numbers: NDArray[np.int64]) -> list[str | None]:
        """The canvas hashes of some rows."""
        found = [pq.read_table(path, columns=["canvas_hash"])["canvas_hash"] for path in self.files]
        chunks = pa.chunked_array([chunk for one in found for chunk in one.chunks], pa.string())
        some: list[str | None] = chunks.take(pa.array(numbers, pa.int64())).to_pylist()
        return some

    def take(self, numbers: Sequence[int], columns: Sequence[str]) -> datasets.Dataset:
        """Some rows, in the order given.

        Raises:
            RequestError: a set of another's that names files instead of holding its images.
        """
        group_of = np.searchsorted(self._ends, np.asarray(numbers), side="right")
        tables, places = [], []
        offset = 0
        for group in dict.fromkeys(group_of.tolist()):
            here = np.flatnonzero(group_of == group)
            first = int(self._ends[group - 1]) if group else 0
            tables.append(
                self._group(group, tuple(columns)).take(
                    pa.array([numbers[i] - first for i in here.tolist()], pa.int64())
                )
            )
            places += [(int(i), offset + k) for k, i in enumerate(here)]
            offset += len(here)
        back = [place for _, place in sorted(places)]
        return _held(datasets.Dataset(pa.concat_tables(tables).take(back)))

    def _group(self, group: int, columns: tuple[str, ...]) -> pa.Table:
        kept = self._last.get(columns)
        if kept is None or kept[0] != group:
            file, number = self._groups[group]
            with pq.ParquetFile(self.files[file]) as opened:
                kept = group, opened.read_row_group(number, columns=list(columns))
            self._last[columns] = kept
        return kept[1]
