"""A result as a table, for terminals and notebooks."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from stir_hf.errors import printable
from stir_hf.report.cells import Table, cell, escaped, heading, shown_fields, value
from stir_hf.report.reading import GOOD_CEILING, Reading, bracketed
from stir_hf.results import ANCHORS, RelativeError, Score, SpreadError, StirResult, published

if TYPE_CHECKING:
    from stir_hf.data.sets.inversions import Inversions

EXPLAINED = (
    "(n: samples; error: median of the inversions' errors, relative, and below it over the"
    " spread of the representations)"
)
LEVEL = 0.95
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
    several = len({score.measure for score in result.scores}) > 1
    for score in result.scores:
        values = {
            **vars(score),
            **score.flat(),
            "model": names[score.model, score.layer],
            "reference": names[score.reference, score.reference_layer],
        }
        of_measure = f", {shown(score.measure)}" if several else ""
        rows.append([values[first] + of_measure, *(value(values, name) for name in rest)])
        below = (fields[name].below for name in rest)
        debiased = [value(values, name) if name else "" for name in below]
        at = rest.index("stir")
        debiased[at] = f"{debiased[at]} {bracketed(score.interval)}".strip()
        rows.append(["debiased", *debiased])
        if score.null is not None:
            told = f"{score.null.calibrated:.3f} (p = {score.null.p:.3f})"
            rows.append(["calibrated", *(told if i == at else "" for i in range(len(rest)))])
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
    levels = sorted({s.interval_level for s in result.scores if s.interval_level is not None})
    told |= {
        f"(in brackets: the {level:.4g} interval of the debiased score over samples and their"
        " starts)"
        for level in levels
    }
    nulls = {s.null.permutations for s in result.scores if s.null is not None}
    told |= {
        f"(calibrated: 0 for 95% of unrelated rows, from {count} permutations of the inversions)"
        for count in nulls
    }
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


def differences(result: StirResult) -> list[str]:
    """Return a line for each inversion set and measure with scores of several models: which pairs
    differ, with the interval of their difference, and which do not.
    """
    groups: dict[tuple[str, str], list[int]] = {}
    for place, score in enumerate(result.scores):
        if score.interval is not None and place < len(result.displacements):
            groups.setdefault((score.inversion_set, score.measure), []).append(place)
    return [line for places in groups.values() if (line := _differences(result, places))]


def _differences(result: StirResult, places: Sequence[int]) -> str:
    names, apart, alike = labels(result), list[str](), list[str]()
    scores = [result.scores[place] for place in places]
    called = {place: names[s.model, s.layer] for place, s in zip(places, scores, strict=True)}
    for one, other in combinations(places, 2):
        found = result.difference(one, other, level=scores[0].interval_level or LEVEL)
        if found.interval.low <= 0 <= found.interval.high:
            alike.append(f"{called[one]} and {called[other]}")
        else:
            low, high = found.interval
            told = f"{found.value:+.3f} [{low:+.3f}, {high:+.3f}]"
            apart.append(f"{called[one]} and {called[other]} by {told}")
    if not apart and not alike:
        return ""
    given = names[scores[0].reference, scores[0].reference_layer]
    parts = [f"differ: {'; '.join(apart)}"] * bool(apart)
    parts += [f"cannot be told apart: {'; '.join(alike)}"] * bool(alike)
    return printable(f"Scores given {given}, {scores[0].measure}: {'; '.join(parts)}.")


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
