"""A table of cells, laid out as Markdown or as HTML; its columns are those of a score."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any
from unicodedata import category, east_asian_width

from stir_hf.errors import printable
from stir_hf.results import Told, number, told_fields
from stir_hf.results.columns import SHARE

_SYNTAX = re.compile(r"([`*<>|]|\\(?!\w)|\](?=[(\[]))")


@dataclass(frozen=True)
class Table:
    """A table whose cells are written in the language of the page: Markdown or HTML."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self, *, padded: bool = True) -> list[str]:
        """Return the lines of a Markdown table; padded, a column is as wide as its widest cell."""
        columns = zip(self.header, *self.rows, strict=True)
        widths = [max(map(_width, column)) if padded else 1 for column in columns]
        rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
        return [_line(self.header, widths), rule, *(_line(row, widths) for row in self.rows)]

    def html(self, caption: str = "") -> str:
        """Return an HTML table; the first cell of a row is its heading."""
        head = "".join(f'<th scope="col">{one}</th>' for one in self.header)
        body = "".join(
            f'<tr><th scope="row">{first}</th>'
            + "".join(f"<td>{one}</td>" for one in rest)
            + "</tr>"
            for first, *rest in self.rows
        )
        title = f"<caption>{caption}</caption>" if caption else ""
        return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def cell(text: object) -> str:
    """Return a name as a cell of a Markdown table: one printable line in which no character ends
    the cell, or begins a link, code or a tag.
    """
    return _SYNTAX.sub(r"\\\1", printable(text)).strip()


def escaped(text: object) -> str:
    """Return a text as a cell of an HTML table: one printable line without a tag."""
    return escape(printable(text))


def shown_fields() -> dict[str, Told]:
    """Return the fields of a score that have a column in tables."""
    return {name: told for name, told in told_fields().items() if told.heading}


def heading(name: str) -> str:
    """Return the heading of a published column. A debiased anchor has that of the plain one, and
    debiased STIR, beside which they stand, is `debiased`.
    """
    told = shown_fields()
    field, _, part = name.rpartition("_")
    if name in told or field not in told:
        return told[name].heading if name in told else name
    return part if field == "stir" else told[field].heading


def value(values: Mapping[str, Any], name: str) -> str:
    """Return a value as tables show it: a share in per cent, other numbers with three digits."""
    told, found = shown_fields().get(name), values.get(name)
    if told is not None and told.column == SHARE and found is not None:
        return f"{found:.0%}"
    return number(found)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Return a row, each cell with spaces behind it up to the width of its column."""
    padded = (one + " " * (width - _width(one)) for one, width in zip(cells, widths, strict=True))
    return f"| {' | '.join(padded)} |"


def _width(line: str) -> int:
    """Return the columns of a line in a terminal; wide characters take two, combining ones none."""
    return sum(
        0 if category(one) in ("Mn", "Me", "Cf") else 1 + (east_asian_width(one) in "WF")
        for one in line
    )
