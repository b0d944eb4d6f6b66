"""A result as a table, for terminals and notebooks."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from stir_hf.errors import printable
from stir_hf.report.cells import Table, cell, escaped, heading, shown_fields, value
from stir_hf.report.reading import GOOD_CEILING, Reading
from stir_hf.results import ANCHORS, RelativeError, Score, SpreadError, StirResult, published

if TYPE_CHECKING:
    from stir_hf.data.sets.inversions import Inversions

EXPLAINED = (
    "(n: samples; error: median of the inversions' errors, relative, and below it over the"
    " spread of the representations)"
)
_FIRST = ("model", "reference", "num_samples")
"""The fields whose columns come first."""


def table(result: StirResult) -> str:
    """Return the scores as a Markdown table, two lines each; above it the notes, each once, and an
    explanation of the columns.
    """
    names = {key: cell(name) for key, name in labels(result).items()}
    noted = notes_by_network(result.scores, names).items()
    notes = [f"Note: {name}: {note}" for name, some in noted for note in some]
    above = [*notes, *([""] if notes else []), *explained(result), ""]
    return "\n".join([*above, *result_table(result, cell).markdown()])


def html_table(result: StirResult) -> str:
    """Return the same table as HTML; the notes are below it, under the network they are about."""
    notes = ""
    for name, some in notes_by_network(result.scores, labels(result)).items():
        notes += f"<dt>{escaped(name)}</dt>"
        notes += "".join(f"<dd>{escaped(note)}</dd>" for note in some)
    scales = "".join(f"<p>{escaped(line)}</p>" for line in explained(result)[1:])
    return result_table(result, escaped).html() + scales + (f"<dl>{notes}</dl>" if notes else "")


def result_table(result: StirResult, shown: Callable[[object], str]) -> Table:
    """Return two rows for each score: its values with the relative error, and below them the
    debiased values with the error over the spread; and two for its accepted inversions alone, where
    a method accepts. `shown` writes a name in the language of the page.
    """
    names = {key: shown(name) for key, name in labels(result).items()}
    fields = shown_fields()
    first, *rest = dict.fromkeys((*_FIRST, *fields))
    rows: list[list[str]] = []
    for score in result.scores:
        values = {
            **vars(score),
            **score.flat(),
            "model": names[score.model, score.layer],
            "reference": names[score.reference, score.reference_layer],
        }
        rows.append([values[first], *(value(values, name) for name in rest)])
        below = (fields[name].below for name in rest)
        rows.append(["debiased", *(value(values, name) if name else "" for name in below)])
        rows += _accepted_rows(score, rest)
    return Table([heading(name) for name in (first, *rest)], rows)


def _accepted_rows(score: Score, names: Sequence[str]) -> Iterator[list[str]]:
    if (one := score.accepted) is None:
        return
    plain = {name: getattr(one, name) for name in (*ANCHORS, "num_samples")}
    debiased = {name: getattr(one.debiased, name, None) for name in ANCHORS}
    for called, values in ((f"accepted ({one.share:.0%})", plain), ("debiased", debiased)):
        yield [called, *(value(values, name) if name in values else "" for name in names)]


def explained(result: StirResult) -> list[str]:
    """Return the lines that explain the columns, and a measure whose smaller values are closer."""
    told = {s.scale.told(s.measure) for s in result.scores if s.scale.closer == "smaller"}
    return [EXPLAINED, *(printable(line) for line in sorted(told))]


def labels(result: StirResult) -> dict[tuple[str, str], str]:
    """Return a short name of each (model, layer): the last part of its name, and as much more as
    distinguishes it from the others.
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


def notes_line(result: StirResult) -> str | None:
    """Return one line on the references whose inversions did not all reach the tolerance: the share
    that did not, and the consequence. Return None where all did.
    """
    names, affected = labels(result), [one for one in result.scores if one.converged < 1]
    above = {names[one.reference, one.reference_layer]: 1 - one.converged for one in affected}
    if not above:
        return None
    read_as = [Reading.of(published(one)) for one in affected]
    ceilings = [one.ceiling if one.scale.is_share else None for one in read_as]
    least = min(-math.inf if value is None else value for value in ceilings)
    listed = ", ".join(f"{printable(name)} ({_percent(share)})" for name, share in above.items())
    if least >= GOOD_CEILING:
        floored = math.floor(least * 100) / 100
        told = f"They are good enough for the scores: no ceiling is below {floored:.2f}."
    else:
        told = (
            "Increase --steps or choose another layer; do not rely on a score with a low ceiling."
        )
    return f"Inversions above the tolerance: {listed}. {told}"


def _percent(share: float) -> str:
    return "under 1%" if share < 0.005 else f"{share:.0%}"


def notes_by_network(
    scores: Sequence[Score], names: dict[tuple[str, str], str]
) -> dict[str, list[str]]:
    """Return the notes of some scores, each once, under the network that it is about: the judged
    network where the note begins with its name, else the reference. `names` are from `labels`.
    """
    found: dict[str, dict[str, None]] = {}
    for score in scores:
        for note in score.notes:
            own = note.removeprefix(f"{score.model}: ")
            judged = score.model, score.layer
            name = names[(score.reference, score.reference_layer) if own == note else judged]
            found.setdefault(name, {})[printable(own)] = None
    return {name: list(notes) for name, notes in found.items()}


def last_part(name: str) -> str:
    """Return the last part of a name, without the digits that distinguish folders of one name."""
    return name.rstrip("/").rpartition("/")[2].partition("#")[0]


def summary(inversions: "Inversions") -> dict[str, Any]:
    """Return an inversion set in numbers, the object that `stir-hf invert --json` prints."""
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
