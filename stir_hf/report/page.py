"""HTML of the Space. Text of visitors is escaped, every picture has an alternative text, and
nothing is loaded from other hosts.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

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


def number(value: float | None) -> str:
    """Return a number with two digits, or a dash."""
    return "–" if value is None else f"{value:.2f}"


def short(name: Any) -> str:
    """Return the last part of a model's name."""
    return str(name).rpartition("/")[2].partition("@")[0]


def named(scores: Sequence[Data]) -> list[Data]:
    """Return the scores with short names where these distinguish the models."""
    names = {score[side] for score in scores for side in ("model", "reference")}
    if len({short(name) for name in names}) < len(names):
        return list(scores)
    sides = ("model", "reference")
    return [{**score, **{side: short(score[side]) for side in sides}} for score in scores]


def sentences(scores: Sequence[Data]) -> str:
    """Return both directions in words, a sentence each."""
    return " ".join(_sentence(score) for score in scores)


def _sentence(score: Data) -> str:
    """Return a score in the words of a card."""
    reading = Reading.of(published(Score.from_dict(score)))
    return reading.sentence(score["model"], score["reference"])


def results(done: Data) -> str:
    """Return the results of a comparison or a judgement."""
    scores = named(done["result"]["scores"])
    parts = [
        f'<p class="lead" role="status">{escape(sentences(scores))}</p>',
        axis(scores),
    ]
    parts.append(table(scores))
    for score, pairs in zip(scores, done.get("pairs", []), strict=False):
        parts.append(gallery(score, pairs))
    parts += [boards(done["boards"])] if "boards" in done else []
    parts += [_notes(scores), lines(done), download(done["result"])]
    return f'<section class="stir-results" aria-label="Results">{"".join(parts)}</section>'


def axis(scores: Sequence[Data]) -> str:
    """Return an axis for each direction, with the score, floor and ceiling on it."""
    ends = _ends(scores)
    rows = "".join(_row(score, ends) for score in scores)
    key = "".join(
        f'<span class="stir-key"><svg width="18" height="18" viewBox="-9 -9 18 18"'
        f' aria-hidden="true"><path class="mark {name}" d="{shape}"/></svg>{words}</span>'
        for name, words, shape in MARKS
    )
    return f'<div class="stir-axis">{rows}<p class="stir-keys">{key}</p></div>'


def _ends(scores: Sequence[Data]) -> tuple[float, float]:
    """Return the ends of the axis: the range of the measure, or of the values where it has no
    limit.
    """
    scale = Score.from_dict(scores[0]).scale
    values = [score[name] for score in scores for name, *_ in MARKS if score[name] is not None]
    least = min(values, default=0.0) if scale.least is None else scale.least
    most = max(values, default=1.0) if scale.most is None else scale.most
    return least, most if most > least else least + 1


def _row(score: Data, ends: tuple[float, float]) -> str:
    title = f"{score['model']}, given {score['reference']}"
    told = ", ".join(f"{words} {number(score[name])}" for name, words, _ in MARKS)
    marks = "".join(
        f'<path class="mark {name}" d="{shape}" transform="translate({_x(score[name], ends)},18)"/>'
        for name, _, shape in MARKS
        if score[name] is not None
    )
    ticks = "".join(
        f'<text x="{_x(at, ends)}" y="46" text-anchor="middle">{at:.3g}</text>'
        for at in (ends[0], sum(ends) / 2, ends[1])
    )
    span = ""
    if score["floor"] is not None and score["ceiling"] is not None:
        low, high = sorted(_x(score[name], ends) for name in ("floor", "ceiling"))
        span = f'<rect class="span" x="{low}" y="13" width="{high - low}" height="10"/>'
    return (
        f"<h2>{escape(title)}: <strong>{number(score['stir'])}</strong></h2>"
        f'<svg viewBox="0 0 {WIDTH} 50" role="img" aria-label="{escape(title)}: {told}">'
        f'<line class="base" x1="{LEFT}" x2="{RIGHT}" y1="18" y2="18"/>{span}{marks}{ticks}</svg>'
    )


def _x(value: float, ends: tuple[float, float]) -> float:
    share = (value - ends[0]) / (ends[1] - ends[0])
    return round(LEFT + max(0.0, min(1.0, share)) * (RIGHT - LEFT), 1)


def table(scores: Sequence[Data]) -> str:
    """Return the table of all numbers, plain and debiased."""
    result = StirResult(tuple(map(Score.from_dict, scores)))
    return f'<div class="stir-scroll">{result_table(result, escaped).html("All numbers")}</div>'


def gallery(score: Data, pairs: Data) -> str:
    """Return the pairs that the model represents most alike and least alike."""
    model, reference = escape(score["model"]), escape(score["reference"])
    ends = (("most", "takes for the most alike"), ("least", "tells apart best"))
    rows = "".join(
        f"<h3>the pairs that {model} {words}</h3>{strip(pairs[name])}" for name, words in ends
    )
    return (
        f"<details open><summary>Pairs that {reference} cannot tell apart, as {model} sees them"
        f"</summary>{hint(score['model'])}{rows}</details>"
    )


def hint(model: str) -> str:
    """Return the explanation of the numbers below the pairs."""
    return (
        f'<p class="hint">Below each pair: how far the picture moves for {escape(model)}, as a'
        " share of its representation; 0 is not at all.</p>"
    )


def strip(pairs: Sequence[Data]) -> str:
    """Return originals above their inversions."""
    items = "".join(
        f"<li><figure>{image(pair['original'], 'original', pair['index'])}"
        f"{image(pair['inverted'], 'inversion', pair['index'])}"
        f"<figcaption>{pair['distance']:.2f}</figcaption></figure></li>"
        for pair in pairs
    )
    return f'<ul class="stir-strip">{items}</ul>'


def image(source: str, what: str, index: int) -> str:
    """Return one picture from a data URL."""
    return f'<img src="{escape(source)}" alt="{what} of image {index}" width="72" height="72">'


def _notes(scores: Sequence[Data]) -> str:
    notes = dict.fromkeys(note for score in scores for note in score["notes"])
    if not notes:
        return ""
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f"<details><summary>Notes ({len(notes)})</summary><ul>{items}</ul></details>"


def lines(done: Data) -> str:
    """Return the commands that reproduce a result."""
    where = f'<p class="hint">{escape(done["where"])}</p>' if done["where"] else ""
    return (
        f"<details><summary>Reproduce it</summary>{where}"
        f'<pre tabindex="0" aria-label="command line"><code>{escape(done["command"])}</code></pre>'
        f'<pre tabindex="0" aria-label="Python"><code>{escape(done["python"])}</code></pre>'
        "</details>"
    )


def download(result: Data) -> str:
    """Return a link that downloads the result as JSON."""
    data = base64.b64encode(json.dumps(result, indent=1).encode()).decode()
    return (
        '<p><a class="stir-download" download="result.json"'
        f' href="data:application/json;base64,{data}">Download result.json</a></p>'
    )


def boards(found: Sequence[Data]) -> str:
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
        return _bar("starting", None, "")
    share = step["passes"] / step["most"] if step["most"] else step["done"] / max(step["total"], 1)
    if step["most"] and step["what"].startswith("judging"):
        share = max(share, 0.95)  # what comes after the inversions
    share = min(share, 1.0)
    left = "" if share < 0.03 else f"at most {seconds * (1 - share) / share:.0f} s left"
    error = "" if step["error"] is None else f", error {step['error']:.2f}"
    pictures = "".join(
        f"<li>{image(source, 'inversion in the making', index)}</li>"
        for index, source in step["pictures"].items()
    )
    forming = f'<ul class="stir-strip">{pictures}</ul>' if pictures else ""
    return _bar(f"{step['what']}{error}", share, left) + forming


def _bar(what: str, share: float | None, left: str) -> str:
    value = "" if share is None else f' value="{share:.3f}"'
    return (
        f'<div class="stir-progress"><label>{escape(what)}'
        f'<progress max="1"{value}></progress></label><span>{escape(left)}</span></div>'
    )


def problem(text: str) -> str:
    """Return the error message of a request."""
    return f'<p class="stir-problem" role="alert">{escape(text)}</p>'


def link(address: str) -> str:
    """Return a link to an address on the Hub."""
    return f'<a href="{escape(address)}">{escape(address)}</a>'


def first_view(done: Data) -> str:
    """Return the example that a visitor sees first: pairs, the axis, two sentences."""
    scores = named(done["result"]["scores"])
    model, reference = scores[0]["model"], scores[0]["reference"]
    pairs = done["pairs"][0]
    ends = (
        ("least", "No, it tells these apart:"),
        ("most", "Yes, these are nearly the same to it:"),
    )
    shown = "".join(f"<div><h2>{words}</h2>{strip(pairs[end][:4])}</div>" for end, words in ends)
    return (
        '<section class="stir-results" aria-label="Example">'
        "<h1>Does this model ignore what that model ignores?</h1>"
        f'<p class="lead">To the network <em>{escape(reference)}</em> each picture below is the'
        f" same as the one above it. Is it to <em>{escape(model)}</em>?</p>"
        f'<div class="stir-ends">{shown}</div>{hint(model)}'
        f'<p class="lead">{escape(sentences(scores))}</p>{axis(scores)}'
        "<p>At the <em>floor</em> nothing that the one ignores is ignored by the other, at the"
        " <em>ceiling</em> everything is. Plain similarity asks another question and hides the"
        " difference.</p></section>"
    )
