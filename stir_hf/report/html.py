"""A result as HTML, for notebooks."""

from html import escape

from stir_hf.errors import printable
from stir_hf.report.table import labels, notes_by_network, shown_fields
from stir_hf.results import Score, StirResult, number


def columns() -> list[str]:
    """The names of the numbers that are shown, each followed by what text shows below it."""
    shown = shown_fields().items()
    return [name for field, told in shown for name in (field, told.below) if name]


def html_table(result: StirResult) -> str:
    """One row per score, and below the table the notes under the network that they are about."""
    head = "".join(f"<th>{name}</th>" for name in columns())
    rows = "".join(f"<tr>{_cells(score)}</tr>" for score in result.scores)
    notes = "".join(
        f"<dt>{_text(name)}</dt>" + "".join(f"<dd>{_text(note)}</dd>" for note in some)
        for name, some in notes_by_network(result.scores, labels(result)).items()
    )
    below = f"<dl>{notes}</dl>" if notes else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{below}"


def _cells(score: Score) -> str:
    values = {**vars(score), **score.flat()}
    return "".join(f"<td>{_text(number(values[name]))}</td>" for name in columns())


def _text(value: object) -> str:
    return escape(printable(value))
