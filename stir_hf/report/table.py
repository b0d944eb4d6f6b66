"""A result as text."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from unicodedata import category, east_asian_width

import numpy as np

from stir_hf.errors import printable
from stir_hf.results import (
    RelativeError,
    Score,
    SpreadError,
    StirResult,
    Told,
    number,
    told_fields,
)
from stir_hf.results.columns import SHARE

if TYPE_CHECKING:
    from stir_hf.data.sets.inversions import Inversions

EXPLAINED = (
    "(n: images; error: median of the inversions' errors, relative, and below it over the"
    " spread of the representations)"
)
_FIRST = ("model", "reference", "num_samples")
"""The fields whose columns come first."""


def shown_fields() -> dict[str, Told]:
    """The fields of a score that tables show, in the order of their columns."""
    told = {name: one for name, one in told_fields().items() if one.heading}
    return {**{name: told[name] for name in _FIRST}, **told}


def table(result: StirResult) -> str:
    """The scores as a Markdown table, two lines each, what must be known about them first."""
    names = {key: cell(name) for key, name in labels(result).items()}
    rows = [row for score in result.scores for row in _rows(score, names)]
    headings = [one.heading for one in shown_fields().values()]
    return "\n".join([*_notes(result.scores, names), *markdown_table(headings, rows)])


_SYNTAX = re.compile(r"([`*<>|]|\\(?!\w)|\](?=[(\[]))")


def cell(text: object) -> str:
    """A name as a cell of a Markdown table: one printable line in which no character ends the cell,
    or begins a link, code or a tag.
    """
    return _SYNTAX.sub(r"\\\1", printable(text)).strip()


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table, its columns as wide as their widest cell."""
    widths = [max(map(_width, column)) for column in zip(columns, *rows, strict=True)]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return [_line(columns, widths), rule, *(_line(row, widths) for row in rows)]


def _padded(line: str, width: int) -> str:
    """A printable line with spaces behind it, `width` columns wide in a terminal."""
    return line + " " * (width - _width(line))


def _width(line: str) -> int:
    """Its columns in a terminal: two of a wide character, none of a combining one."""
    return sum(
        0 if category(one) in ("Mn", "Me", "Cf") else 1 + (east_asian_width(one) in "WF")
        for one in line
    )


def labels(result: StirResult) -> dict[tuple[str, str], str]:
    """Name each (model, layer): the last part of its name, and as much more as tells it
    from the others.
    """
    scores = result.scores
    keys = dict.fromkeys(
        k for s in scores for k in ((s.reference, s.reference_layer), (s.model, s.layer))
    )
    short = {name: last_part(name) for name, _ in keys}
    names = {name: s if list(short.values()).count(s) == 1 else name for name, s in short.items()}
    layers = Counter(name for name, _ in keys)
    return {
        (name, layer): names[name] + (f" {layer}" if layers[name] > 1 else "")
        for name, layer in keys
    }


def _rows(score: Score, names: dict[tuple[str, str], str]) -> list[tuple[str, ...]]:
    """The values with the relative error; below them the debiased ones, over the spread."""
    values = {
        **vars(score),
        **score.flat(),
        "model": names[score.model, score.layer],
        "reference": names[score.reference, score.reference_layer],
    }
    first, *shown = shown_fields().items()
    above = [(values[first[0]]), *(_shown(values[name], told) for name, told in shown)]
    below = [_shown(values[told.below], told) if told.below else "" for _, told in shown]
    return [tuple(above), ("debiased", *below)]


def _shown(value: Any, told: Told) -> str:
    """A value as a table shows it: a share in per cent, other numbers with three digits."""
    return f"{value:.0%}" if told.column == SHARE and value is not None else number(value)


def notes_line(result: StirResult) -> str | None:
    """One line on the references whose inversions did not all reach the tolerance, with the share
    that did not and what to do; None where all did.
    """
    names = labels(result)
    above = {
        names[one.reference, one.reference_layer]: 1 - one.converged
        for one in result.scores
        if one.converged < 1
    }
    if not above:
        return None
    listed = ", ".join(f"{printable(name)} ({_percent(share)})" for name, share in above.items())
    return (
        f"Inversions above the tolerance: {listed}. More --steps bring them closer; where the"
        " ceiling is near 1 the scores can be read as they are."
    )


def _percent(share: float) -> str:
    return "under 1%" if share < 0.005 else f"{share:.0%}"


def notes_by_network(
    scores: Sequence[Score], names: dict[tuple[str, str], str]
) -> dict[str, list[str]]:
    """The notes of some scores, each once, under the network that they are about: the judged one
    where a note begins with its name, else the reference, whose inversions they tell of.

    Args:
        scores: of one result.
        names: what to call each (model, layer), from `labels`.
    """
    found: dict[str, dict[str, None]] = {}
    for score in scores:
        for note in score.notes:
            own = note.removeprefix(f"{score.model}: ")
            judged, reference = (
                (score.model, score.layer),
                (score.reference, score.reference_layer),
            )
            name = names[reference if own == note else judged]
            found.setdefault(name, {})[printable(own)] = None
    return {name: list(notes) for name, notes in found.items()}


def _notes(scores: Sequence[Score], names: dict[tuple[str, str], str]) -> list[str]:
    """Each note once, with a line below them that explains the columns."""
    notes = [
        f"Note: {name}: {note}"
        for name, some in notes_by_network(scores, names).items()
        for note in some
    ]
    return [
        *notes,
        *([""] if notes else []),
        EXPLAINED,
        "",
    ]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return (
        "| "
        + " | ".join(_padded(cell, width) for cell, width in zip(cells, widths, strict=True))
        + " |"
    )


def last_part(name: str) -> str:
    """The last part of a name, without the digits that tell folders of one name apart."""
    return name.rstrip("/").rpartition("/")[2].partition("#")[0]


def summary(inversions: "Inversions") -> dict[str, Any]:
    """An inversion set in numbers: what `stir-hf invert --json` prints."""
    error, above = inversions.relative_error, ~inversions.converged
    left = inversions.spread_error
    return {
        "inversions": str(inversions.path),
        "num_samples": len(np.unique(inversions.index)),
        "left_out": len(inversions.left_out),
        "rows": len(inversions),
        "relative_error": asdict(RelativeError.of(error)),
        "converged": float((~above).mean()),
        "unconverged": asdict(RelativeError.of(error[above])) if above.any() else None,
        "spread_error": None if left is None else asdict(SpreadError.of(left)),
        "tolerance": inversions.manifest.identity["engine"]["tolerance"],
        "config": inversions.recipe,
    }
