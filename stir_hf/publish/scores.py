"""Scores as rows of a dataset, one parquet file each: their columns, and reading untrusted
files.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stir_hf.data.identity import hash_of
from stir_hf.errors import RequestError, cut, one_line
from stir_hf.results import ANCHORS, columns, score_columns

FOLDER = "scores"
LARGEST = 100_000_000
"""Size limit of a file in bytes, enough for three million pairs with values per input."""
_MOST_READ = 1_000_000
"""Limit on the bytes of the columns that are read, and on the values in each."""


COLUMNS = {
    **score_columns(),
    "model_revision": columns.COMMIT,
    "reference_revision": columns.COMMIT,
    "method": columns.TEXT,
    "start": columns.TEXT,
    "constraint": columns.TEXT,
    "steps": columns.COUNT,
    "tolerance": columns.ERROR,
    "spread_tolerance": columns.ERROR,
    "seed": columns.WHOLE,
    "dataset": columns.TEXT,
    "dataset_revision": columns.COMMIT,
    "split": columns.TEXT,
    "dtype": columns.TEXT,
}
"""The columns of a score; further ones are `environment` and one value per input and draw."""


def name_of(row: Mapping[str, Any]) -> str:
    """Hash of what a score is of, without its value, so that a repeated score has the same name."""
    names = (
        "model",
        "model_revision",
        "network_id",
        "inversion_set",
        "measure",
        "num_samples",
        "draws",
    )
    return hash_of([row[name] for name in names])[:16]


def read(path: Path, of: str = "") -> dict[str, Any]:
    """Read the row of one untrusted file: the columns of `COLUMNS`, and no others.

    Text is one printable line of at most 300 characters (a note: 1000), numbers are finite and in
    the range of what they measure, commits and hashes are hexadecimal.

    Args:
        path: the file.
        of: the repo in words, such as `dataset lab/images`.

    Raises:
        RequestError: an unusable file, named with the repo and the reason.
    """
    try:
        return checked(_row(path))
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        whose = f" of {of}" if of else ""
        raise RequestError(
            f"{FOLDER}/{path.name}{whose} cannot be used: {one_line(error)}"
        ) from error


def _row(path: Path) -> dict[str, Any]:
    """Read the needed columns of the only row."""
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
        (row,) = file.read(columns=list(COLUMNS), use_threads=False).to_pylist()
    found_row: dict[str, Any] = row
    return found_row


def _check_sizes(about: pq.FileMetaData) -> None:
    """Raise ValueError if the needed columns are too large, by the metadata of the file."""
    chunks = [
        about.row_group(group).column(i)
        for group in range(about.num_row_groups)
        for i in range(about.num_columns)
    ]
    read_here = [c for c in chunks if c.path_in_schema.partition(".")[0] in COLUMNS]
    size = sum(chunk.total_uncompressed_size for chunk in read_here)
    if max(size, *(chunk.num_values for chunk in read_here)) > _MOST_READ:
        raise ValueError(f"it says that it holds {size / 1e6:.0f} MB beside the values per input")


def checked(row: Mapping[str, Any], *, parse: bool = False) -> dict[str, Any]:
    """Check the known columns of a row, with values as from `read`; with `parse`, numbers may be
    text.

    Raises:
        ValueError: the first invalid value.
    """
    found = {}
    linear = str(row["measure"]).startswith("linear_cka")
    for name in (name for name in COLUMNS if name in row):
        column = COLUMNS[name]
        least = 0 if linear and name in ANCHORS else column.least
        value = column.parsed(row[name]) if parse else row[name]
        try:
            found[name] = replace(column, least=least).checked(value)
        except ValueError as error:
            raise ValueError(f"{name!r} {error}") from None
    return found


def too_large(size: int) -> str:
    """The reason why a large file is neither fetched nor read."""
    return f"it has {size / 1e6:.0f} MB; a score has {LARGEST / 1e6:.0f} MB at most"
