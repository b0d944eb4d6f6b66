"""HTML of the Space, from the macros of `templates/page.html`. Text of visitors is escaped, every
picture has an alternative text, and nothing is loaded from other hosts.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from html import escape
from math import floor
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from stir_hf.report import Reading
from stir_hf.report.cells import Table, escaped
from stir_hf.report.reading import INTERVAL, bracketed
from stir_hf.report.table import labels, last_part, notes_by_network, result_table
from stir_hf.results import Score, StirResult, published

Data = Mapping[str, Any]
WIDTH, LEFT, RIGHT = 640, 12, 628
"""The width and the ends of the axis, in units of its drawing."""
MARKS = (
    ("floor", "floor", "M0,-9 L0,9"),
    ("similarity", "similarity", "M0,-7 L7,0 L0,7 L-7,0 Z"),
    ("ceiling", "ceiling", "M0,-9 L0,9"),
    ("stir", "STIR", "M-7,0 a7,7 0 1,0 14,0 a7,7 0 1,0 -14,0"),
)
"""The marks on the axis: name, words, shape; the shapes differ as well as the colours."""
PAPER = "https://arxiv.org/abs/2206.11939"
_VIEWS = jinja2.Environment(
    autoescape=True,
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_VIEWS.globals.update(interval=INTERVAL, marks=MARKS, width=WIDTH, left=LEFT, right=RIGHT)


def _view(macro: str, **values: Any) -> Markup:
    """Return what a macro writes; only values of type `Markup` are not escaped."""
    made: Markup = getattr(_VIEWS.get_template("page.html").module, macro)(**values)
    return made


def number(value: float | None) -> str:
    """Return a number with two digits, or a dash."""
    return "–" if value is None else f"{value:.2f}"


def short(name: Any) -> str:
    """Return the last part of a model's name."""
    return last_part(str(name).partition("@")[0])


def named(scores: Sequence[Data]) -> list[Data]:
    """Return the scores with short names where these distinguish the models."""
    sides = ("model", "reference")
    names = {score[side] for score in scores for side in sides}
    if len({short(name) for name in names}) < len(names):
        return list(scores)
    return [{**score, **{side: short(score[side]) for side in sides}} for score in scores]


def _reading(score: Data) -> Reading:
    return Reading.of(published(Score.from_dict(score)))


def sentences(scores: Sequence[Data]) -> list[str]:
    """Return each score in words, one sentence."""
    return [_reading(score).sentence(score["model"], score["reference"]) for score in scores]


def heading(source: str | None) -> str:
    """Return the title of the page; `source` is the address of the package's repository, None where
    that is not known.
    """
    links = [("Paper", PAPER)]
    if source:
        links += [("README", f"{source}#readme"), ("Source", source)]
    return _view("heading", links=links)


def glossary() -> str:
    """Return the words on the page, with their meaning."""
    return _view("glossary")


def results(done: Data, remedy: str) -> str:
    """Return the results of a comparison or a judgement; `remedy` as in `advice`."""
    scores = named(done["result"]["scores"])
    result = StirResult(tuple(map(Score.from_dict, scores)))
    galleries = [
        (score["model"], score["reference"], pairs)
        for score, pairs in zip(scores, done.get("pairs", []), strict=False)
    ]
    return _view(
        "results",
        told=sentences(scores),
        advice=advice(scores, remedy),
        axis=axis(scores),
        table=Markup(result_table(result, escaped).html("All numbers")),
        galleries=galleries,
        boards=Markup(_boards(done["boards"]) if "boards" in done else ""),
        notes=notes_by_network(result.scores, labels(result)),
        done=done,
        data=base64.b64encode(json.dumps(done["result"], indent=1).encode()).decode(),
    )


def advice(scores: Sequence[Data], remedy: str) -> list[str]:
    """Return a line for each reference whose inversions did not work, with what the visitor can do
    about it: the `remedy`.
    """
    doubted = [one for one in scores if {"ceiling", "converged"} & {*_reading(one).cautions}]
    low = dict.fromkeys(score["reference"] for score in doubted)
    return [f"The inversions of {name} did not work well enough. {remedy}" for name in low]


def axis(scores: Sequence[Data]) -> str:
    """Return an axis for each direction, with the values by which the score is read and its
    interval, as far as that is known.
    """
    shown = [_marked(score) for score in scores]
    low, high = _ends(scores, [value for values, _ in shown for value in values.values()])

    def x(value: float) -> float:
        share = (value - low) / (high - low)
        return round(LEFT + max(0.0, min(1.0, share)) * (RIGHT - LEFT), 1)

    rows = []
    for score, (values, interval) in zip(scores, shown, strict=True):
        stir = values.get("stir")
        row = {
            "title": f"{score['model']}, given {score['reference']}",
            "told": ", ".join(f"{words} {number(values.get(name))}" for name, words, _ in MARKS),
            "stir": f"{number(stir)} {bracketed(interval)}".strip(),
            "at": {name: x(value) for name, value in values.items()},
            "span": sorted(x(values[name]) for name in ("floor", "ceiling") if name in values),
            "noise": () if interval is None else (x(interval[0]), x(interval[1])),
        }
        rows.append(row)
    zero = (0.0,) if low < 0 < high else ()
    ticks = [(x(value), f"{value:.3g}") for value in (low, *zero, (max(low, 0) + high) / 2, high)]
    debiased = not any(_reading(score).is_plain for score in scores)
    return _view("axis", rows=rows, ticks=ticks, debiased=debiased)


def _marked(score: Data) -> tuple[dict[str, float], tuple[float, float] | None]:
    """Return the values of `MARKS` by which a score is read, and its interval."""
    read = _reading(score)
    debiased = score["debiased"] or {}
    similarity = score["similarity"] if read.is_plain else debiased.get("similarity")
    values = {"floor": read.floor, "ceiling": read.ceiling, "stir": read.stir}
    found = {**values, "similarity": similarity}
    return {name: value for name, value in found.items() if value is not None}, read.interval


def _ends(scores: Sequence[Data], values: Sequence[float]) -> tuple[float, float]:
    """Return the ends of the axis: those of the measure, below it a tenth for debiased values, or
    of the values if it has no limit.
    """
    scale, lowest = Score.from_dict(scores[0]).scale, min(values, default=0.0)
    least = lowest if scale.least is None else min(scale.least, floor(lowest * 10) / 10)
    most = max(values, default=1.0) if scale.most is None else scale.most
    return least, most if most > least else least + 1


def _boards(found: Sequence[Data]) -> str:
    """Return the leaderboards of an inversion set."""
    if not found:
        return "<p>No scores are published with these inversions yet.</p>"
    parts = []
    for board in found:
        rows = [(escaped(model), *map(number, values)) for model, *values in board["lines"]]
        lines = Table(("model", "STIR", "debiased", "floor", "ceiling"), rows)
        caption = f"Leaderboard {escape(board['about'])}"
        parts.append(f'<div class="stir-scroll">{lines.html(caption)}</div>')
        parts += [f"<p>{escape(mark)}</p>" for mark in board["marks"]]
    return "".join(parts)


def waiting(before: int, seconds: float | None) -> str:
    """Return how many requests are before one, and about how long they take."""
    about = "" if seconds is None else f", about {max(5, round(seconds / 5) * 5)} seconds"
    several = "s are" if before > 1 else " is"
    return f'<p class="stir-wait">{before} request{several} before yours{about}.</p>'


def share(step: Data) -> float:
    """Return how far a request is, from 0 to 1."""
    done = step["passes"] / step["most"] if step["most"] else step["done"] / max(step["total"], 1)
    if step["most"] and step["what"].startswith("judging"):
        done = max(done, 0.95)  # what comes after the inversions
    return float(min(done, 1.0))


def progress(step: Data | None, left: float | None = None) -> str:
    """Return the progress of a request: a bar, the seconds left and the unfinished inversions."""
    if step is None:
        what = "loading the networks and the images"
        return _view("progress", what=what, share=None, left="", pictures={})
    error = "" if step["error"] is None else f", error {step['error']:.2f}"
    about = "" if left is None else f"about {left:.0f} s left"
    told: Data = {"what": f"{step['what']}{error}", "left": about, "pictures": step["pictures"]}
    return _view("progress", share=share(step), **told)


def problem(text: str) -> str:
    """Return the error message of a request."""
    return f'<p class="stir-problem" role="alert">{escape(text)}</p>'


def link(address: str) -> str:
    """Return a link to an address on the Hub."""
    return f'<a href="{escape(address)}">{escape(address)}</a>'


def first_view(done: Data, remedy: str) -> str:
    """Return the example that a visitor sees first: pairs, the axis, two sentences; `remedy` as in
    `advice`.
    """
    scores = named(done["result"]["scores"])
    return _view(
        "first_view",
        told=sentences(scores),
        advice=advice(scores, remedy),
        axis=axis(scores),
        model=scores[0]["model"],
        reference=scores[0]["reference"],
        pairs=done["pairs"][0],
    )
