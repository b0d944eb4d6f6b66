"""A result as HTML, for notebooks."""

from html import escape

from stir_hf.errors import printable
from stir_hf.report.table import labels, notes_by_network
from stir_hf.results import ANCHORS, Score, StirResult

COLUMNS = (
    "model",
    "reference",
    "num_samples",
    *(name + debiased for name in ANCHORS for debiased in ("", "_debiased")),
    "relative_error",
    "spread_error",
    "converged",
)


def html_table(result: StirResult) -> str:
    """One row per score, and below the table the notes under the network that they are about."""
    head = "".join(f"<th>{name}</th>" for name in COLUMNS)
    rows = "".join(f"<tr>{_cells(score)}</tr>" for score in result.scores)
    notes = "".join(
        f"<dt>{_text(name)}</dt>" + "".join(f"<dd>{_text(note)}</dd>" for note in some)
        for name, some in notes_by_network(result.scores, labels(result)).items()
    )
    below = f"<dl>{notes}</dl>" if notes else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{below}"


def _cells(score: Score) -> str:
    values = {**vars(score), **score.flat()}
    return "".join(f"<td>{_text(_shown(values[name]))}</td>" for name in COLUMNS)


def _shown(value: object) -> object:
    if value is None:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else value


def _text(value: object) -> str:
    return escape(printable(value))
