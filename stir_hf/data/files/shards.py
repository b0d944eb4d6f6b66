"""The rows of an inversion set on disk: small parts while it is made, compacted to large shards
when it is finished.

A row that is there twice is there identically, so that a kill at any moment, also while shards are
compacted, does no harm: readers take the first. Pages have checksums, which readers compare.
"""

import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stir_hf.data.files.rows import STATUSES, UNREADABLE, GoneError, Rows, first_of_each, row_groups

SHARD_BYTES = 200 << 20
GROUP_ROWS = 64
GROUP_BYTES = 1 << 20
"""A group of a shard has at least so many rows and bytes: what is read of it is read whole, and
what describes it is in memory all the time.
"""
_PART, _SHARD = "part", "data"


def files_of(folder: Path) -> list[Path]:
    """The parquet files of a set: shards first, then parts."""
    return sorted(folder.glob(f"{_SHARD}-*.parquet")) + sorted(folder.glob(f"{_PART}-*.parquet"))


def is_rows(name: str) -> bool:
    """Return whether a file of this name is one of `files_of`."""
    return any(fnmatchcase(name, f"{kind}-*.parquet") for kind in (_SHARD, _PART))


def append(folder: Path, rows: list[dict[str, Any]], columns: datasets.Features) -> None:
    """Put rows on disk, all or none. What this has returned from survives a kill."""
    if rows:
        whole = [{name: row.get(name) for name in columns} for row in rows]
        table = datasets.Dataset.from_list(whole, features=columns).data.table
        with NewFile(folder, f"{_PART}-{uuid.uuid4().hex}") as path:
            pq.write_table(table, path, write_page_checksum=True)


def copied(files: Sequence[Path], folder: Path, *, as_parts: bool = False) -> list[Path]:
    """Copy files of another folder, and return where they are now.

    Args:
        files: each is read once, so that a broken one is told and not copied.
        folder: where they are copied to.
        as_parts: to be compacted with those that are there.

    Raises:
        GoneError: one is not there any more.
        RequestError, RunError: one is broken, or cannot be read now.
    """
    made = []
    for path in files:
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
    _rewritten(folder, [*small, *parts], kept, shard_bytes)


def give_way(folder: Path, kept: Sequence[Path]) -> None:
    """Remove the rows of a folder that some of its files have, too, from its other files."""
    others = [path for path in files_of(folder) if path not in kept]
    _rewritten(folder, others, kept, SHARD_BYTES)


def _rewritten(folder: Path, files: Sequence[Path], kept: Sequence[Path], shard_bytes: int) -> None:
    """Replace files by shards of those of their rows that the files to be kept do not have."""
    groups = _row_groups(files, kept, min(GROUP_BYTES, shard_bytes // 8))
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


def _row_groups(files: Sequence[Path], kept: Sequence[Path], least: int) -> Iterator[pa.Table]:
    """The rows of some files in groups of at least so many bytes, each (index, draw) once, without
    those that the files to be kept have; with the columns of all of them.
    """
    wanted, empty = _counting(files, kept), _columns_of_all(files)
    waiting: list[pa.Table] = []
    first = 0
    for path in files:
        for table in row_groups(path):
            here = np.flatnonzero(wanted[first : first + len(table)])
            first += len(table)
            waiting.append(table.take(pa.array(here, pa.int64())))
            enough = sum(table.nbytes for table in waiting) >= least
            if enough and sum(map(len, waiting)) >= GROUP_ROWS:
                yield pa.concat_tables([empty, *waiting], promote_options="default")
                waiting = []
    if sum(map(len, waiting)):
        yield pa.concat_tables([empty, *waiting], promote_options="default")


def _columns_of_all(files: Sequence[Path]) -> pa.Table:
    """No rows, with each column that one of some files has, as the first of these has it."""
    schemas = [datasets.Features.from_arrow_schema(schema) for schema in Rows(files).schemas]
    names = dict.fromkeys(name for features in schemas for name in features)
    first = {name: next(one[name] for one in schemas if name in one) for name in names}
    return datasets.Features(**first).arrow_schema.empty_table()


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
