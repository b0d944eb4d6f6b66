"""Scores as rows of a dataset, one parquet file each: their columns, and a file of others read."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stir_hf.data.identity import hash_of
from stir_hf.errors import RequestError, cut, one_line, printable
from stir_hf.results import ANCHORS

FOLDER = "scores"
ERRORS = ("median", "mean", "p95")
LARGEST = 100_000_000
"""Bytes of a file: those of more than three million pairs with the columns per image."""
_MOST_READ = 1_000_000
"""Bytes of the columns that are read, and values in any of them."""
_LONGEST, _LONGEST_NOTE, _MOST_NOTES = 300, 1000, 20
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Column:
    """The type of a column, and what its values may be."""

    dtype: str
    """A type of Arrow: `string`, `float64` or `int64`."""
    least: float = -math.inf
    most: float = math.inf
    pattern: str = ".+"
    """A text matches it as a whole."""
    needed: bool = False
    """True where there must be a value."""
    several: bool = False
    """True for a list of such values."""

    def fits(self, found: pa.DataType) -> bool:
        """Tell whether a column of a file has this type; one without any value has none."""
        if self.several:
            if pa.types.is_null(found):
                return True
            if not (pa.types.is_list(found) or pa.types.is_large_list(found)):
                return False
            return replace(self, several=False).fits(found.value_type)
        checks: dict[str, tuple[Callable[[pa.DataType], bool], ...]] = {
            "string": (pa.types.is_string, pa.types.is_large_string),
            "float64": (pa.types.is_floating, pa.types.is_integer),
            "int64": (pa.types.is_integer,),
        }
        return bool(pa.types.is_null(found)) or any(c(found) for c in checks[self.dtype])

    def checked(self, value: Any) -> Any:
        """A value as it may be shown: text is one printable line.

        Raises:
            ValueError: one that may not stand in this column.
        """
        if self.several:
            return [self._note(one) for one in (value or [])[:_MOST_NOTES] if one]
        if value is None:
            if self.needed:
                raise ValueError(f"is empty, not {self.accepted}")
            return None
        if isinstance(value, str):
            text = printable(value)
            if len(text) > _LONGEST or not text.strip() or not re.fullmatch(self.pattern, text):
                raise ValueError(f"is {cut(text, 60)!r}, not {self.accepted}")
            return text
        if not self.least - _ROUNDING <= value <= self.most + _ROUNDING or math.isinf(value):
            raise ValueError(f"is {value}, not {self.accepted}")
        return float(value) if self.dtype == "float64" else value

    @property
    def accepted(self) -> str:
        """The values that may stand here, in words."""
        if self.dtype == "string":
            digits = re.search(r"{(\d+)}", self.pattern)
            if digits:
                return f"{digits[1]} hexadecimal digits"
            return f"a text of 1 to {_LONGEST} characters"
        kind = "a whole number" if self.dtype == "int64" else "a number"
        if math.isinf(self.least):
            return kind
        most = "" if math.isinf(self.most) else f" to {self.most:g}"
        return f"{kind} from {self.least:g}{most or ' on'}"

    def parsed(self, value: Any) -> Any:
        """A value of this column's type from the text of one, or from a number.

        Raises:
            ValueError, TypeError, OverflowError: no number where there must be one.
        """
        if value is None or self.several:
            return value
        if self.dtype == "string":
            return str(value)
        if isinstance(value, bool):
            raise TypeError(f"{value} is no number")
        return float(value) if self.dtype == "float64" else int(value)

    @staticmethod
    def _note(text: str) -> str:
        return cut(printable(text), _LONGEST_NOTE)


_TEXT, _NAME = Column("string"), Column("string", needed=True)
_COMMIT = Column("string", pattern="[0-9a-f]{40}")
_HASH = Column("string", pattern="[0-9a-f]{16}", needed=True)
_ANCHOR, _ERROR = Column("float64", -1, 1), Column("float64", 0)
_COUNT, _SEED = Column("int64", 0), Column("int64")
_SIZE = Column("int64", 1, needed=True)
COLUMNS = {
    "model": _NAME,
    "model_revision": _COMMIT,
    "layer": _NAME,
    "reference": _NAME,
    "reference_revision": _COMMIT,
    "reference_layer": _NAME,
    "inversion_set": _HASH,
    "measure": _NAME,
    **dict.fromkeys(ANCHORS, _ANCHOR),
    **{f"{name}_debiased": _ANCHOR for name in ANCHORS},
    "num_samples": _SIZE,
    "draws": _SIZE,
    "left_out": _COUNT,
    **{f"relative_error_{name}": _ERROR for name in ERRORS},
    **{f"spread_error_{name}": _ERROR for name in ERRORS},
    "converged": Column("float64", 0, 1),
    "method": _TEXT,
    "start": _TEXT,
    "steps": _COUNT,
    "tolerance": _ERROR,
    "spread_tolerance": _ERROR,
    "seed": _SEED,
    "dataset": _TEXT,
    "dataset_revision": _COMMIT,
    "split": _TEXT,
    "dtype": _TEXT,
    "notes": Column("string", several=True),
    "network_id": _HASH,
}
"""The columns that tell a score; `environment` and one value per image and draw stand beside it."""


def name_of(row: Mapping[str, Any]) -> str:
    """16 hexadecimal digits: of what a score is, not of its value; equal for a repeated score."""
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
    """The row of one file, which may be anybody's: the columns of `COLUMNS`, and no others.

    Text is one printable line of at most 300 characters (a note: 1000), numbers are finite and in
    the range of what they measure, commits and hashes are hexadecimal.

    Args:
        path: of the file.
        of: the repo in words, `dataset lab/images`.

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
    """The only row, of which no more is read than what is shown."""
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
    """Raise ValueError where the columns that are read are large, as the file itself says."""
    chunks = [
        about.row_group(group).column(i)
        for group in range(about.num_row_groups)
        for i in range(about.num_columns)
    ]
    read_here = [c for c in chunks if c.path_in_schema.partition(".")[0] in COLUMNS]
    size = sum(chunk.total_uncompressed_size for chunk in read_here)
    if max(size, *(chunk.num_values for chunk in read_here)) > _MOST_READ:
        raise ValueError(f"it says that it holds {size / 1e6:.0f} MB beside the values per image")


def checked(row: Mapping[str, Any], *, parse: bool = False) -> dict[str, Any]:
    """The known columns of a row, each value as `read` gives it; `parse`: numbers may be text.

    Raises:
        ValueError: the first that may not stand there, or that is no number.
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
    """The reason why a file is not read, or not fetched."""
    return f"it has {size / 1e6:.0f} MB; a score has {LARGEST / 1e6:.0f} MB at most"
