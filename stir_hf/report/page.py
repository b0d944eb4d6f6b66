"""HTML of the Space, from the macros of `templates/page.html`. Text of visitors is escaped, every
picture has an alternative text, and nothing is loaded from other hosts.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from stir_hf.report import Reading
from stir_hf.report.cells import Table, escaped
from stir_hf.report.table import result_table
from stir_hf.results import Score, StirResult, published

Data = Mapping[str, Any]
WIDTH, LEFT, RIGHT = 640, 12, 628
"""The width and the ends of the axis, in units of its drawing."""
MARKS = (
    ("floor", "floor", "M0,-9 L0,9"),
    ("similarity", "plain similarity", "M0,-7 L7,0 L0,7 L-7,0 Z"),
    ("ceiling", "ceiling", "M0,-9 L0,9"),
    ("stir", "STIR", "M-7,0 a7,7 0 1,0 14,0 a7,7 0 1,0 -14,0"),
)
"""The marks on the axis: name, words, shape; the shapes differ as well as the colours."""

_VIEWS = jinja2.Environment(
    autoescape=True,
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_VIEWS.globals.update(marks=MARKS, width=WIDTH, left=LEFT, right=RIGHT)


def _view(macro: str, **values: Any) -> Markup:
    """Return what a macro writes; only values of type `Markup` are not escaped."""
    made: Markup = getattr(_VIEWS.get_template("page.html").module, macro)(**values)
    return made


def number(value: float | None) -> str:
    """Return a number with two digits, or a dash."""
    return "–" if value is None else f"{value:.2f}"


def short(name: Any) -> str:
    """Return the last part of a model's name."""
    return str(name).rpartition("/")[2].partition("@")[0]


def named(scores: Sequence[Data]) -> list[Data]:
    """Return the scores with short names where these distinguish the models."""
    sides = ("model", "reference")
    names = {score[side] for score in scores for side in sides}
    if len({short(name) for name in names}) < len(names):
        return list(scores)
    return [{**score, **{side: short(score[side]) for side in sides}} for score in scores]


def sentences(scores: Sequence[Data]) -> str:
    """Return both directions in words, a sentence each."""
    return " ".join(
        Reading.of(published(Score.from_dict(score))).sentence(score["model"], score["reference"])
        for score in scores
    )


def results(done: Data) -> str:
    """Return the results of a comparison or a judgement."""
    scores = named(done["result"]["scores"])
    table = result_table(StirResult(tuple(map(Score.from_dict, scores))), escaped)
    galleries = [
        (score["model"], score["reference"], pairs)
        for score, pairs in zip(scores, done.get("pairs", []), strict=False)
    ]
    return _view(
        "results",
        told=sentences(scores),
        axis=axis(scores),
        table=Markup(table.html("All numbers")),
        galleries=galleries,
        boards=Markup(_boards(done["boards"]) if "boards" in done else ""),
        notes=dict.fromkeys(note for score in scores for note in score["notes"]),
        done=done,
        data=base64.b64encode(json.dumps(done["result"], indent=1).encode()).decode(),
    )


def axis(scores: Sequence[Data]) -> str:
    """Return an axis for each direction, with the score, floor and ceiling on it."""
    low, high = _ends(scores)

    def x(value: float) -> float:
        share = (value - low) / (high - low)
        return round(LEFT + max(0.0, min(1.0, share)) * (RIGHT - LEFT), 1)

    rows = []
    for score in scores:
        at = {name: x(score[name]) for name, *_ in MARKS if score[name] is not None}
        row = {
            "title": f"{score['model']}, given {score['reference']}",
            "told": ", ".join(f"{words} {number(score[name])}" for name, words, _ in MARKS),
            "stir": number(score["stir"]),
            "at": at,
            "span": sorted((at["floor"], at["ceiling"])) if {"floor", "ceiling"} <= {*at} else (),
        }
        rows.append(row)
    ticks = [(x(value), f"{value:.3g}") for value in (low, (low + high) / 2, high)]
    return _view("axis", rows=rows, ticks=ticks)


def _ends(scores: Sequence[Data]) -> tuple[float, float]:
    """Return the ends of the axis: those of the measure, or of the values if it has no limit."""
    scale = Score.from_dict(scores[0]).scale
    values = [score[name] for score in scores for name, *_ in MARKS if score[name] is not None]
    least = min(values, default=0.0) if scale.least is None else scale.least
    most = max(values, default=1.0) if scale.most is None else scale.most
    return least, most if most > least else least + 1


def _boards(found: Sequence[Data]) -> str:
    """Return the leaderboards of an inversion set."""
    if not found:
        return "<p>No scores are published with these inversions yet.</p>"
    parts = []
    for board in found:
        rows = [(escaped(model), *map(number, values)) for model, *values in board["lines"]]
        lines = Table(("model", "STIR", "debiased", "floor"), rows)
        caption = f"Leaderboard {escape(board['about'])}"
        parts.append(f'<div class="stir-scroll">{lines.html(caption)}</div>')
        parts += [f"<p>{escape(mark)}</p>" for mark in board["marks"]]
    return "".join(parts)


def progress(step: Data | None, seconds: float) -> str:
    """Return the progress of a request: a bar, the time left and the unfinished inversions."""
    if step is None:
        return _view("progress", what="starting", share=None, left="", pictures={})
    share = step["passes"] / step["most"] if step["most"] else step["done"] / max(step["total"], 1)
    if step["most"] and step["what"].startswith("judging"):
        share = max(share, 0.95)  # what comes after the inversions
    share = min(share, 1.0)
    left = "" if share < 0.03 else f"at most {seconds * (1 - share) / share:.0f} s left"
    error = "" if step["error"] is None else f", error {step['error']:.2f}"
    what, pictures = f"{step['what']}{error}", step["pictures"]
    return _view("progress", what=what, share=share, left=left, pictures=pictures)


def problem(text: str) -> str:
    """Return the error message of a request."""
    return f'<p class="stir-problem" role="alert">{escape(text)}</p>'


def link(address: str) -> str:
    """Return a link to an address on the Hub."""
    return f'<a href="{escape(address)}">{escape(address)}</a>'


def first_view(done: Data) -> str:
    """Return the example that a visitor sees first: pairs, the axis, two sentences."""
    scores = named(done["result"]["scores"])
    return _view(
        "first_view",
        told=sentences(scores),
        axis=axis(scores),
        model=scores[0]["model"],
        reference=scores[0]["reference"],
        pairs=done["pairs"][0],
    )
