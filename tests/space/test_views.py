"""Results as HTML: what others wrote is escaped, and what is not there is a dash."""

import json
import re
import types
from html import escape
from itertools import pairwise
from typing import Any

import pytest

from stir_hf.report import page as views
from stir_hf.space import handlers
from stir_hf.space.asked import Comparison
from stir_hf.space.handlers import Pace
from tests.conftest import ROOT

EXAMPLE: dict[str, Any] = json.loads((ROOT / "spaces_demo" / "example.json").read_text("utf-8"))
BAD = "<img src=x onerror=alert(1)>\"'"


def test_names_of_others_are_escaped() -> None:
    scores = [
        {**score, "model": BAD, "reference": f"lab/{BAD}", "notes": [BAD]}
        for score in EXAMPLE["result"]["scores"]
    ]
    board = {"about": BAD, "lines": [[BAD, 0.5, None, 0.1, 1.0]], "marks": [BAD]}
    done = {
        **EXAMPLE,
        "result": {**EXAMPLE["result"], "scores": scores},
        "boards": [board],
        "command": BAD,
        "python": BAD,
        "where": BAD,
    }
    html = views.results(done, "")
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
    assert "about 30 s left" in views.progress(STEP, 30)
    assert "left" not in views.progress(STEP, None)
    judging = {**STEP, "what": "judging robust-0", "error": None}
    assert 'value="0.950"' in views.progress(judging, 10)
    assert 'value="0.250"' in views.progress({**judging, "most": 0}, 10)  # nothing to invert
    assert "value=" not in views.progress(None)


def test_the_time_left_leaves_loading_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading takes 100 s, then each tenth of the passes takes one second."""
    pace, now = Pace(), [100.0]
    clock = types.SimpleNamespace(monotonic=lambda: now[0])
    monkeypatch.setattr("stir_hf.space.handlers.time", clock)
    assert pace.left(0.0) is None
    for tenths in range(1, 10):
        now[0] += 1
        assert pace.left(tenths / 10) == pytest.approx(10 - tenths)


def test_who_waits_is_told_how_many_are_before() -> None:
    assert "2 requests are before yours, about 40 seconds." in views.waiting(2, 41.3)
    assert "1 request is before yours." in views.waiting(1, None)


def test_the_advice_is_what_can_be_done_there() -> None:
    """It goes by the ceiling: that of a standard network is high although few converge."""
    good, score = EXAMPLE, EXAMPLE["result"]["scores"][0]
    assert views.advice(good["result"]["scores"], "Do more.") == []
    low = [{**score, "debiased": {**score["debiased"], "ceiling": 0.7}}]
    assert views.advice(low, "Do more.") == [
        "The inversions of robust-0 did not work well enough. Do more."
    ]
    near = [{**score, "debiased": {**score["debiased"], "floor": 0.6}}]  # the inversions worked
    assert views.advice(near, "Do more.") == []
    done = {"result": {**EXAMPLE["result"], "scores": low}}

    def told(steps: int) -> str:
        """What a visitor reads who chose so many passes."""
        asked = Comparison("standard-0", "robust-0", steps=steps)
        return list(handlers.shown([{"done": {**EXAMPLE, **done}}], handlers.remedy(asked)))[-1][0]

    assert "More passes may help: choose up to 300." in told(299)
    assert "More passes than here can be asked for on the command line." in told(300)


def test_notes_are_under_the_network_that_they_are_about() -> None:
    scores = [
        {**score, "notes": [f"of {score['reference']}"]} for score in EXAMPLE["result"]["scores"]
    ]
    html = views.results({**EXAMPLE, "result": {**EXAMPLE["result"], "scores": scores}}, "")
    for name in ("robust-0", "standard-0"):
        assert f"<dt>{name}</dt><dd>of {name}</dd>" in html


def test_the_words_on_the_page_are_explained() -> None:
    html = views.glossary() + views.heading("https://example.org/lab/stir-hf")
    for word in ("debiased", "tolerance", "representation", "penultimate", "passes", "inversion"):
        assert re.search(rf"<dt>[^<]*{word}", html)
    for address in ("https://arxiv.org/abs/2206.11939", "https://example.org/lab/stir-hf#readme"):
        assert f'href="{address}"' in html
    assert views.heading(None).count("<a ") == 1


def test_words_go_by_the_debiased_values() -> None:
    score = {**EXAMPLE["result"]["scores"][0], "stir": 0.91, "floor": 0.73, "ceiling": 0.96}
    debiased = {"stir": 0.36, "floor": 0.0, "ceiling": 0.98, "similarity": 0.36}
    words = (
        "0.36 [0.21, 0.51] (debiased; floor 0.00, ceiling 0.98): standard-0 ignores between a small"
        " part and about half of what robust-0 ignores."
    )
    score["interval"] = [0.21, 0.51]
    assert views.sentences([{**score, "debiased": debiased}]) == [words]
    low = [{**score, "debiased": {**debiased, "ceiling": 0.74}}]
    assert "the inversions did not work, since the ceiling, 0.740, is below 0.9" in views.results(
        {**EXAMPLE, "result": {**EXAMPLE["result"], "scores": low}}, ""
    )


def test_a_score_without_floor() -> None:
    score = EXAMPLE["result"]["scores"][0]
    debiased = {**score["debiased"], "floor": None}
    scores = [{**score, "floor": None, "debiased": debiased}]
    assert "cannot be told from these 64 samples: it has no floor" in views.sentences(scores)[0]
    none = [{**score, "floor": None, "debiased": None}]
    assert "No score" in views.sentences(none)[0]
    assert "there is no debiased score" in views.sentences(none)[0]
    assert "floor –" in views.axis(scores)


def test_the_axis_shows_what_is_told() -> None:
    """Debiased values, also below 0; the interval of a score that has one."""
    score = EXAMPLE["result"]["scores"][0]
    low = {**score, "debiased": {**score["debiased"], "stir": -0.17}, "interval": [-0.25, 0.1]}
    html = views.axis([low])
    assert ">-0.2</text>" in html
    assert ">0</text>" in html
    assert "STIR -0.17" in html
    assert 'class="noise"' in html
    assert "-0.17 [-0.25, 0.10]" in html
    without = views.axis([{**low, "interval": None}])
    assert 'class="noise"' not in without
    assert "-0.17 [" not in without


def test_headings_go_down_one_by_one() -> None:
    html = views.heading(None) + views.first_view(EXAMPLE, "") + views.results(EXAMPLE, "")
    levels = [int(level) for level in re.findall(r"<h(\d)\b", html)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))
