"""Results as HTML: what others wrote is escaped, and what is not there is a dash."""

import json
import re
from html import escape
from itertools import pairwise
from typing import Any

from stir_hf.report import page as views
from tests.conftest import ROOT

EXAMPLE: dict[str, Any] = json.loads((ROOT / "spaces_demo" / "example.json").read_text("utf-8"))
BAD = "<img src=x onerror=alert(1)>\"'"


def test_names_of_others_are_escaped() -> None:
    scores = [
        {**score, "model": BAD, "reference": f"lab/{BAD}", "notes": [BAD]}
        for score in EXAMPLE["result"]["scores"]
    ]
    board = {"about": BAD, "lines": [[BAD, 0.5, None, 0.1]], "marks": [BAD]}
    done = {
        **EXAMPLE,
        "result": {**EXAMPLE["result"], "scores": scores},
        "boards": [board],
        "command": BAD,
        "python": BAD,
        "where": BAD,
    }
    html = views.results(done)
    assert "<img src=x" not in html
    assert html.count("&lt;img src=x") >= 9
    assert f"<p>{escape(BAD)}</p>" in html  # a mark of the board
    assert "<td>–</td>" in html
    assert set(re.findall(r'<img src="([a-z:/]*)', html)) == {"data:image/png"}
    assert "<img src=x" not in views.problem(BAD)
    assert "<img src=x" not in views.progress({**STEP, "what": BAD}, 1)


STEP: dict[str, Any] = {
    "what": "inverting robust-0",
    "done": 4,
    "total": 16,
    "error": 0.25,
    "passes": 30,
    "most": 120,
    "pictures": {},
}


def test_how_far_a_request_is() -> None:
    assert 'value="0.250"' in views.progress(STEP, 10)
    assert "at most 30 s left" in views.progress(STEP, 10)
    judging = {**STEP, "what": "judging robust-0", "error": None}
    assert 'value="0.950"' in views.progress(judging, 10)
    assert 'value="0.250"' in views.progress({**judging, "most": 0}, 10)  # nothing to invert
    assert "value=" not in views.progress(None, 0)


def test_words_go_by_the_debiased_values() -> None:
    score = {**EXAMPLE["result"]["scores"][0], "stir": 0.91, "floor": 0.73, "ceiling": 0.96}
    debiased = {"stir": 0.36, "floor": 0.0, "ceiling": 0.98, "similarity": 0.36}
    words = (
        "standard-0 has a debiased score of 0.360, between a floor of 0.000 and a ceiling of 0.980:"
        " it ignores about half of what robust-0 ignores."
    )
    assert views.sentences([{**score, "debiased": debiased}]) == words
    low = [{**score, "debiased": {**debiased, "ceiling": 0.74}}]
    assert "the inversions did not work, since the ceiling, 0.740, is below 0.9" in views.results(
        {**EXAMPLE, "result": {**EXAMPLE["result"], "scores": low}}
    )


def test_a_score_without_floor() -> None:
    score = EXAMPLE["result"]["scores"][0]
    debiased = {**score["debiased"], "floor": None}
    scores = [{**score, "floor": None, "debiased": debiased}]
    assert "cannot be told: it has no floor" in views.sentences(scores)
    none = [{**score, "floor": None, "debiased": None}]
    assert "cannot be told: there is no debiased score" in views.sentences(none)
    assert "floor –" in views.axis(scores)


def test_headings_go_down_one_by_one() -> None:
    html = views.first_view(EXAMPLE) + views.results(EXAMPLE)
    levels = [int(level) for level in re.findall(r"<h(\d)>", html)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))
