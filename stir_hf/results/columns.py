"""Types and ranges of published columns, and the metadata of the fields of a score."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from stir_hf.errors import cut, printable

if TYPE_CHECKING:
    import pyarrow as pa

_LONGEST, _LONGEST_NOTE, _MOST_NOTES = 300, 1000, 20
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Column:
    """The type of a column and the values that it accepts."""

    dtype: str
    """A type of Arrow: `string`, `float64`, `int64` or `bool`."""
    least: float = -math.inf
    most: float = math.inf
    pattern: str = ".+"
    """The regular expression that a whole text matches."""
    needed: bool = False
    """True for a column without missing values."""
    several: bool = False
    """True for a list of such values."""

    def fits(self, found: "pa.DataType") -> bool:
        """Tell whether a column of a file has this type; a column without any value fits."""
        import pyarrow as pa

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
            "bool": (pa.types.is_boolean,),
        }
        return bool(pa.types.is_null(found)) or any(c(found) for c in checks[self.dtype])

    def checked(self, value: Any) -> Any:
        """Return a value that may be shown: a text as one printable line.

        Raises:
            ValueError: one that may not stand in this column.
        """
        if self.several:
            notes = [one for one in (value or [])[:_MOST_NOTES] if one]
            return [cut(printable(note), _LONGEST_NOTE) for note in notes]
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
        """Return the accepted values in words."""
        if self.dtype == "string":
            if "|" in self.pattern:
                return self.pattern.replace("|", " or ")
            if digits := re.search(r"{(\d+)}", self.pattern):
                return f"{digits[1]} hexadecimal digits"
            return f"a text of 1 to {_LONGEST} characters"
        if self.dtype == "bool":
            return "true or false"
        kind = "a whole number" if self.dtype == "int64" else "a number"
        if math.isinf(self.least):
            return kind
        most = "" if math.isinf(self.most) else f" to {self.most:g}"
        return f"{kind} from {self.least:g}{most or ' on'}"

    def parsed(self, value: Any) -> Any:
        """Return a value of this column's type from text or a number.

        Raises:
            ValueError, TypeError, OverflowError: no number where there must be one.
        """
        if value is None or self.several:
            return value
        if self.dtype == "string":
            return str(value)
        if isinstance(value, bool) and self.dtype != "bool":
            raise TypeError(f"{value} is no number")
        return float(value) if self.dtype == "float64" else int(value)


TEXT, NAME = Column("string"), Column("string", needed=True)
COMMIT = Column("string", pattern="[0-9a-f]{40}")
HASH = Column("string", pattern="[0-9a-f]{16}", needed=True)
VALUE, ERROR, SHARE = Column("float64"), Column("float64", 0), Column("float64", 0, 1)
CLOSER = Column("string", pattern="larger|smaller", needed=True)
COUNT, FLAG = Column("int64", 0), Column("bool")
SIZE = Column("int64", 1, needed=True)
LINES = Column("string", several=True)


@dataclass(frozen=True)
class Told:
    """The published columns of a field of a score, and its column in tables."""

    column: Column | None = None
    """The column of a field without parts."""
    parts: Mapping[str, Column] = field(default_factory=dict)
    """The attributes of a dataclass that are published, one column each."""
    name: str = "{field}_{part}"
    """The name of the column of a part."""
    heading: str = ""
    """The heading of its column in tables; empty for a field that is not shown there."""
    below: str = ""
    """The number of `Score.flat` in the row below it."""

    def columns(self, field: str) -> dict[str, Column]:
        """Return the columns of a field, by name."""
        if self.column is not None:
            return {field: self.column}
        return {self._column(field, part): column for part, column in self.parts.items()}

    def values(self, field: str, value: object) -> dict[str, Any]:
        """Return the published values of a field, by column; None where it has none."""
        if self.column is not None:
            return {field: list(value) if isinstance(value, tuple) else value}
        return {self._column(field, part): getattr(value, part, None) for part in self.parts}

    def _column(self, field: str, part: str) -> str:
        return self.name.format(field=field, part=part)

    def metadata(self) -> Mapping[str, "Told"]:
        """Return it as the metadata of a dataclass's field."""
        return {"told": self}
