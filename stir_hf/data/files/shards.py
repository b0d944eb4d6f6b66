"""The rows of an inversion set on disk: small parts while it is made, compacted to large shards
when it is finished.

Copies of a row are identical and readers take the first, so a run can be killed at any moment,
also while shards are compacted. Pages have checksums, which readers verify.
"""

import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stir_hf.data.files.rows import GoneError, Rows, first_of_each, row_groups

SHARD_BYTES = 200 << 20
GROUP_ROWS = 64
GROUP_BYTES = 1 << 20
"""Least number of rows and bytes in a row group of a shard. Groups are read as a whole, so they
are small; the metadata of every group stays in memory, so they are not tiny.
"""
_PART, _SHARD = "part", "data"


def files_of(folder: Path) -> list[Path]:
    """The parquet files of a set: shards first, then parts."""
    return sorted(folder.glob(f"{_SHARD}-*.parquet")) + sorted(folder.glob(f"{_PART}-*.parquet"))


def is_rows(name: str) -> bool:
    """Return whether a file of this name is one of `files_of`."""
    return any(fnmatchcase(name, f"{kind}-*.parquet") for kind in (_SHARD, _PART))


def append(folder: Path, rows: list[dict[str, Any]], columns: datasets.Features) -> None:
    """Write rows to disk, all or none. Once this returns, they survive a kill."""
    if rows:
        whole = [{name: row.get(name) for name in columns} for row in rows]
        table = datasets.Dataset.from_list(whole, features=columns).data.table
        with NewFile(folder, f"{_PART}-{uuid.uuid4().hex}") as path:
            pq.write_table(table, path, write_page_checksum=True)


def copied(source: Path, folder: Path, *, as_parts: bool = False) -> list[Path]:
    """Copy the files of a set to another folder, and return their new paths. Each is read first, so
    that a broken one raises and is not copied. Copies that are named as parts are compacted with
    those already there.

    Raises:
        GoneError: a file was deleted.
        RequestError, RunError: a file is broken, or cannot be read now.
    """
    made = []
    for path in files_of(source):
        name = f"{_PART}-{path.stem.partition('-')[2]}" if as_parts else path.stem
        new = NewFile(folder, name)
        try:
            with new as partial:
                shutil.copyfile(path, partial)
                for _ in row_groups(partial, called=path):
                    pass
        except FileNotFoundError as error:
            raise GoneError(f"{path} was removed while it was read; try again") from error
        made.append(new.path)
    return made


class NewFile:
    """A file that gets its final name when it is complete."""

    def __init__(self, folder: Path, name: str) -> None:
        """Begin a file; `name` is without the ending `.parquet`."""
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

    A file is removed only after its replacement is complete; a second call changes nothing.
    """
    for stale in folder.glob(".*.partial"):
        stale.unlink(missing_ok=True)
    parts = sorted(folder.glob(f"{_PART}-*.parquet"))
    if not parts:
        return
    shards = sorted(folder.glob(f"{_SHARD}-*.parquet"))
    small = [path for path in shards if path.stat().st_size < shard_bytes // 2]
    kept = [path for path in shards if path not in small]
    _rewritten(folder, [*small, *parts], kept, shard_bytes)


def give_way(folder: Path, kept: Sequence[Path]) -> None:
    """Remove the rows that the `kept` files of a folder hold from all its other files."""
    others = [path for path in files_of(folder) if path not in kept]
    _rewritten(folder, others, kept, SHARD_BYTES)


def _rewritten(folder: Path, files: Sequence[Path], kept: Sequence[Path], shard_bytes: int) -> None:
    """Replace files by shards with those of their rows that the `kept` files do not hold."""
    groups = grouped(_wanted(files, kept), min(GROUP_BYTES, shard_bytes // 8))
    while (first := next(groups, None)) is not None:
        _write_shard(folder, first, groups, shard_bytes)
    for path in files:
        path.unlink()


def _write_shard(folder: Path, first: pa.Table, more: Iterator[pa.Table], limit: int) -> None:
    with (
        NewFile(folder, f"{_SHARD}-{uuid.uuid4().hex}") as path,
        path.open("wb") as file,
        pq.ParquetWriter(file, first.schema, write_page_checksum=True) as writer,
    ):
        table: pa.Table | None = first
        while table is not None:
            writer.write_table(table)
            table = next(more, None) if file.tell() < limit else None


def _wanted(files: Sequence[Path], kept: Sequence[Path]) -> Iterator[pa.Table]:
    """The rows of some files, each (index, draw) once, without those that the `kept` files hold,
    and with the columns of all files.
    """
    wanted, empty = _counting(files, kept), _columns_of_all(files)
    first = 0
    for path in files:
        for table in row_groups(path):
            here = np.flatnonzero(wanted[first : first + len(table)])
            first += len(table)
            some = table.take(pa.array(here, pa.int64()))
            yield pa.concat_tables([empty, some], promote_options="default")


def grouped(tables: Iterable[pa.Table], least: int = 0) -> Iterator[pa.Table]:
    """Join tables to groups of at least `GROUP_ROWS` rows and `least` bytes, but for the last."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        enough = sum(one.nbytes for one in waiting) >= least
        if enough and sum(map(len, waiting)) >= GROUP_ROWS:
            yield pa.concat_tables(waiting)
            waiting = []
    if sum(map(len, waiting)):
        yield pa.concat_tables(waiting)


def _columns_of_all(files: Sequence[Path]) -> pa.Table:
    """An empty table with all columns of some files; a type is that of the first file with it."""
    schemas = [datasets.Features.from_arrow_schema(schema) for schema in Rows(files).schemas]
    names = dict.fromkeys(name for features in schemas for name in features)
    first = {name: next(one[name] for one in schemas if name in one) for name in names}
    return datasets.Features(**first).arrow_schema.empty_table()


def _counting(files: Sequence[Path], kept: Sequence[Path]) -> NDArray[np.bool_]:
    """(n,): mask of the rows that count: the first of each (index, draw), with the `kept` files
    before the others. For a sample that was unreadable once and could be read later, the row with
    its inversion counts.
    """
    rows, before = Rows([*kept, *files]), len(Rows(kept))
    index, draw, status = rows.columns("index", "draw", "status")
    counts = np.zeros(len(index), bool)
    counts[first_of_each(index, draw, status)] = True
    return counts[before:]
