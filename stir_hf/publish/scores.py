"""Columns of published scores, one parquet file each, and a reader of files of others."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stir_hf.data.identity import hash_of
from stir_hf.errors import RequestError, cut, one_line
from stir_hf.results import ANCHORS, Column, Scale, columns, score_columns
from stir_hf.results.columns import VALUE

FOLDER = "scores"
LARGEST = 100_000_000
"""The largest file in bytes: one of more than three million pairs with the columns per image."""
_MOST_READ = 1_000_000
"""The most bytes of the columns that are read, and the most values in any of them."""


ENGINE = {
    "method": columns.TEXT,
    "steps": columns.COUNT,
    "tolerance": columns.ERROR,
    "spread_tolerance": columns.ERROR,
    "start": columns.TEXT,
    "seed": columns.COUNT,
    "exact": columns.FLAG,
    "constraint": columns.TEXT,
    "objective": columns.TEXT,
    "restarts": columns.TEXT,
    "diverse": columns.ERROR,
}
"""The columns of the options of an inversion that are read, without torch; `score_rows` derives
from `InversionConfig` those that are written.
"""
COLUMNS = {
    **score_columns(),
    "model_revision": columns.COMMIT,
    "reference_revision": columns.COMMIT,
    **ENGINE,
    "dataset": columns.TEXT,
    "dataset_revision": columns.COMMIT,
    "split": columns.TEXT,
    "dtype": columns.TEXT,
}
"""The columns that describe a score; `environment` and one value per image and draw stand beside
them.
"""


def is_score(path: str) -> bool:
    """Return whether a path in a repo is that of a score file."""
    folder, _, name = path.rpartition("/")
    return folder == FOLDER and name.endswith(".parquet")


def name_of(row: Mapping[str, Any]) -> str:
    """Return 16 hexadecimal digits that identify a score: they do not depend on its value, so a
    repeated score has the same name.
    """
    of = ("model", "model_revision", "network_id", "inversion_set", "measure")
    return hash_of([row[name] for name in (*of, "num_samples", "draws")])[:16]


def read(path: Path, of: str = "") -> dict[str, Any]:
    """Read the row of one file of a repo (`of`, in words), which anybody may have written: the
    columns of `COLUMNS`, and no others.

    Text is one printable line of at most 300 characters (a note: 1000), numbers are finite and in
    the range of what they measure, commits and hashes are hexadecimal.

    Raises:
        RequestError: a file that cannot be used; it names the file, the repo and the reason.
    """
    try:
        return checked(_row(path))
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        whose = f" of {of}" if of else ""
        raise RequestError(
            f"{FOLDER}/{path.name}{whose} cannot be used: {one_line(error)}"
        ) from error


def _row(path: Path) -> dict[str, Any]:
    """Return the only row; no column is read that is not used."""
    if (size := path.stat().st_size) > LARGEST:
        raise ValueError(too_large(size))
    with pq.ParquetFile(path) as file:
        schema, about = file.schema_arrow, file.metadata
        if about.num_rows != 1:
            raise ValueError(f"it has {about.num_rows} rows; one score is one row")
        for name, column in COLUMNS.items():
            if (count := schema.names.count(name)) != 1:
                raise ValueError(f"it has {count} columns {name!r}" if count else f"no {name!r}")
            if not column.fits(found := schema.field(name).type):
                raise ValueError(f"{name!r} is of type {cut(str(found), 60)}")
        _check_sizes(about)
        row: dict[str, Any]
        (row,) = file.read(columns=list(COLUMNS), use_threads=False).to_pylist()
    return row


def _check_sizes(about: pq.FileMetaData) -> None:
    """Raise ValueError for columns to be read that are large, as the file states their sizes."""
    groups = map(about.row_group, range(about.num_row_groups))
    every = [group.column(i) for group in groups for i in range(about.num_columns)]
    chunks = [one for one in every if one.path_in_schema.partition(".")[0] in COLUMNS]
    size = sum(chunk.total_uncompressed_size for chunk in chunks)
    if max(size, *(chunk.num_values for chunk in chunks)) > _MOST_READ:
        raise ValueError(f"it says that it holds {size / 1e6:.0f} MB beside the values per sample")


def checked(row: Mapping[str, Any], *, parse: bool = False) -> dict[str, Any]:
    """Return the known columns of a row, each value as `read` gives it; with `parse`, numbers may
    be text.

    Raises:
        ValueError: the first that may not stand there, or that is no number.
    """
    found = {}
    ranges = _ranges(row)
    for name in (name for name in COLUMNS if name in row):
        column = ranges.get(name, COLUMNS[name])
        value = column.parsed(row[name]) if parse else row[name]
        try:
            found[name] = column.checked(value)
        except ValueError as error:
            raise ValueError(f"{name!r} {error}") from None
    return found


def _ranges(row: Mapping[str, Any]) -> dict[str, Column]:
    """Return the columns of the values of a measure, as wide as its scale: a debiased value may
    lie as far on the other side of 0. A ValueError for a scale that is not that of linear CKA.
    """
    known, scale = row.get("measure_closer") is not None, Scale.of(row)
    if str(row["measure"]).partition(":")[0].strip() == "linear_cka":
        if not scale.is_share:
            raise ValueError("'measure_closer' or its range is not that of linear_cka")
    elif not known:
        return {}
    least = -math.inf if scale.least is None else float(scale.least)
    most = math.inf if scale.most is None else float(scale.most)
    plain = replace(VALUE, least=least, most=most)
    debiased = replace(VALUE, least=min(least, -most), most=most)
    return {**dict.fromkeys(ANCHORS, plain), **{f"{n}_debiased": debiased for n in ANCHORS}}


def too_large(size: int) -> str:
    """Return the reason why a file of this size is not read or downloaded."""
    return f"it has {size / 1e6:.0f} MB; a score has {LARGEST / 1e6:.0f} MB at most"
