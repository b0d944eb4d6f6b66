"""The rows of parquet files by number, read a row group at a time and checked as they are read."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stir_hf.data.files.broken import BrokenError
from stir_hf.data.images.cells import is_denied, is_ours
from stir_hf.errors import RequestError, RunError, one_line
from stir_hf.pointers import check_pointer

UNREADABLE = "unreadable"
"""Status of a sample that could not be decoded; continuing a run tries it again."""

GROUP_BYTES = 4 << 30
"""Memory limit of a row group, which is read as a whole."""
_AT_ONCE = 64
_LONGEST_TEXT = 256
"""Limit in bytes of a status or a hash; a small file can repeat one long text in many rows."""

STATUSES = ("converged", "max_steps", "not_finite", UNREADABLE)


class GoneError(RequestError):
    """A file that was deleted or replaced since its rows were counted."""


@contextmanager
def opened(
    path: Path, called: Path | None = None, texts: Sequence[str] = ()
) -> Iterator[pq.ParquetFile]:
    """Open a parquet file with its page checksums verified. The body should do nothing else:
    its errors are reported as errors of this file, which is named `called` if it is a copy.

    Raises:
        GoneError: it is not there.
        BrokenError: it is broken or cut off.
        RequestError: it is a folder or a pointer.
        RunError: it cannot be read now.
    """
    name = called or path
    try:
        checked: Any = {"page_checksum_verification": True, "read_dictionary": list(texts)}
        with pq.ParquetFile(path, **checked) as file:
            yield file
    except RequestError:
        raise
    except FileNotFoundError as error:
        raise GoneError(f"{name} was removed while it was read; try again") from error
    except (pa.ArrowException, OSError, MemoryError, ValueError, TypeError, KeyError) as error:
        if is_ours(error) or is_denied(error):
            raise RunError(f"{name} cannot be read now: {one_line(error)}") from error
        check_pointer(path)
        if path.is_dir():
            raise RequestError(
                f"{name} is a folder, where a file of inversions is expected; move it away"
            ) from error
        advice = "remove it, and the command that made the inversions makes its rows again"
        raise BrokenError(
            name, f"it is truncated, or not a Parquet file ({one_line(error)})", advice
        ) from error


def row_groups(path: Path, called: Path | None = None) -> Iterator[pa.Table]:
    """The rows of a parquet file, a row group at a time.

    Raises:
        GoneError, RequestError, RunError: as `opened`, which has the same arguments; an error
            between two groups is not reported as an error of the file.
    """
    with opened(path, called) as file:
        for number in range(file.num_row_groups):
            yield file.read_row_group(number)


def first_of_each(
    index: NDArray[np.int64], draw: NDArray[np.int32], status: NDArray[np.int8]
) -> NDArray[np.int64]:
    """The number of the first row of each (index, draw), sorted by (index, draw); an unreadable row
    counts only if there is no other.
    """
    last = status == STATUSES.index(UNREADABLE)
    order = np.lexsort((last, draw, index))  # stable: equal keys keep their order
    new = np.ones(len(order), bool)
    new[1:] = (np.diff(index[order]) != 0) | (np.diff(draw[order]) != 0)
    return order[new]


def _small(file: "_File", names: Sequence[str]) -> pa.Table:
    """Columns of numbers and short texts of a file; raises BrokenError for a long text."""
    with file.opened(names) as opened_file:
        table = opened_file.read(list(names))
        for name in names:
            if not pa.types.is_dictionary(table[name].type):
                continue
            lengths = (pc.max(pc.binary_length(one.dictionary)) for one in table[name].chunks)
            if any((length.as_py() or 0) > _LONGEST_TEXT for length in lengths):
                raise BrokenError(file.path, f"column {name!r} holds a long text")
            place = table.schema.get_field_index(name)
            table = table.set_column(place, name, table[name].cast(pa.string()))
    return table


def _numbers(file: "_File", names: Sequence[str]) -> pa.Table:
    table = _small(file, names)
    if "status" not in names:
        return table
    codes = pc.index_in(table["status"], pa.array(STATUSES)).cast(pa.int8())
    return table.set_column(table.schema.get_field_index("status"), "status", codes)


@dataclass(frozen=True)
class _File:
    """One file as it was when its rows were counted."""

    path: Path
    stamp: tuple[int, int]
    """Size in bytes and time of the last change."""
    groups: tuple[int, ...]
    """The number of rows in each row group."""

    @classmethod
    def of(cls, path: Path) -> "_File":
        with opened(path) as file:
            about = file.metadata
            groups = (about.row_group(g).num_rows for g in range(about.num_row_groups))
            return cls(path, _stamp(path), tuple(groups))

    @contextmanager
    def opened(self, texts: Sequence[str] = ()) -> Iterator[pq.ParquetFile]:
        """Open the file, `texts` as for `opened`; raises GoneError if it was replaced."""
        with opened(self.path, texts=texts) as file:
            if _stamp(self.path) != self.stamp:
                raise GoneError(f"{self.path} has changed since its rows were counted; try again")
            yield file


def _stamp(path: Path) -> tuple[int, int]:
    about = path.stat()
    return about.st_size, about.st_mtime_ns


class Rows:
    """Rows of several parquet files by number, read a row group at a time; only the last group is
    kept in memory.

    The list of files is fixed at construction; reading a file that was deleted or replaced since
    then raises `GoneError`.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        """Count the rows of the files; raises as `opened` for one that is missing or broken."""
        self._files = [_File.of(path) for path in paths]
        self._groups = [(file, g) for file in self._files for g in range(len(file.groups))]
        sizes = [size for file in self._files for size in file.groups]
        self._ends = np.cumsum(sizes) if sizes else np.zeros(0, np.int64)
        self._last: dict[tuple[str, ...], tuple[int, pa.Table]] = {}

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns, with the types that `datasets` recorded."""
        return next(self.schemas)

    @property
    def schemas(self) -> Iterator[pa.Schema]:
        """The `schema` of each file."""
        return (schema for _, schema, _ in self.footers)

    def columns(self, *names: str) -> list[NDArray[Any]]:
        """Numeric columns of all rows, (n,) each; `status` as its number among `STATUSES`.
        Every file is opened once.
        """
        if not self._files:
            types = {"status": np.int8, "draw": np.int32, "relative_error": np.float32}
            return [np.zeros(0, types.get(name, np.int64)) for name in names]
        whole = pa.concat_tables(_numbers(file, names) for file in self._files)
        return [whole[name].to_numpy() for name in names]

    def values(self, column: str, numbers: NDArray[np.int64]) -> list[Any]:
        """A column of small values for some rows; None for rows of files without that column."""
        tables = [pa.table({column: pa.nulls(0)})]
        for file in self._files:
            with file.opened() as opened_file:
                there = column in opened_file.schema_arrow.names
            nothing = pa.table({column: pa.nulls(sum(file.groups))})
            tables.append(_small(file, [column]) if there else nothing)
        whole = pa.concat_tables(tables, promote_options="default")[column]
        some: list[Any] = whole.take(pa.array(numbers, pa.int64())).to_pylist()
        return some

    def tables(self, wanted: NDArray[np.bool_]) -> Iterator[tuple[pa.Schema, Iterator[pa.Table]]]:
        """For each file with rows of the mask (n,): its columns, and these rows by row group."""
        first = 0
        for file in self._files:
            last = first + sum(file.groups)
            if wanted[first:last].any():
                with file.opened() as opened_file:
                    schema = opened_file.schema_arrow
                yield schema, _filtered(file, wanted[first:last])
            first = last

    @property
    def footers(self) -> Iterator[tuple[Path, pa.Schema, pq.FileMetaData]]:
        """Path, columns and sizes of each file."""
        for one in self._files:
            with one.opened() as file:
                found = one.path, file.schema_arrow, file.metadata
            yield found

    def take(self, numbers: Sequence[int], columns: Sequence[str]) -> pa.Table:
        """Some rows in the given order, undecoded, whatever types the files declare."""
        if not len(numbers):
            return self.schema.remove_metadata().empty_table().select(list(columns))
        wanted = np.asarray(numbers, np.int64)
        group_of = np.searchsorted(self._ends, wanted, side="right")
        tables = []
        for group in np.unique(group_of).tolist():
            first = self._ends[group - 1] if group else 0
            here = pa.array(wanted[group_of == group] - first)
            tables.append(self._group(group, tuple(columns)).take(here))
        whole = pa.concat_tables(tables, promote_options="default")  # a file may lack a column
        back = np.argsort(np.argsort(group_of, kind="stable"))
        return whole.take(pa.array(back)).replace_schema_metadata(None)

    def forget(self) -> None:
        """Drop the cached row group."""
        self._last.clear()

    def _group(self, group: int, columns: tuple[str, ...]) -> pa.Table:
        kept = self._last.get(columns)
        if kept is None or kept[0] != group:
            kept = group, self._read_group(*self._groups[group], columns)
            self._last[columns] = kept
        return kept[1]

    def _read_group(self, one: "_File", number: int, columns: Sequence[str]) -> pa.Table:
        """Read a row group some rows at a time, since its size in memory is unknown."""
        batches, size = [], 0
        with one.opened() as file:
            there = [name for name in columns if name in file.schema_arrow.names]
            for batch in file.iter_batches(_AT_ONCE, row_groups=[number], columns=there):
                batches.append(batch)
                size += batch.nbytes
                if size > GROUP_BYTES:
                    raise BrokenError(one.path, f"some of its rows take more than {size} bytes")
            schema = pa.schema([file.schema_arrow.field(name) for name in there])
        return pa.Table.from_batches([b.replace_schema_metadata(None) for b in batches], schema)


def _filtered(file: _File, wanted: NDArray[np.bool_]) -> Iterator[pa.Table]:
    first = 0
    with file.opened() as opened_file:
        for number in range(opened_file.num_row_groups):
            table = opened_file.read_row_group(number)
            yield table.filter(pa.array(wanted[first : first + len(table)]))
            first += len(table)
