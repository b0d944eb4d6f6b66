"""Results as text and pictures."""

import re
from dataclasses import replace
from itertools import permutations
from xml.etree import ElementTree

from stir_hf import Score, StirResult
from stir_hf.report.cells import Table
from stir_hf.report.figures import heat_map
from stir_hf.report.saved import report_page
from stir_hf.report.table import labels, notes_line, table
from stir_hf.results import Anchors, RelativeError, SpreadError


def result(*models: tuple[str, str]) -> StirResult:
    """A matrix of (name, layer); the score of each pair is its place in it / 10."""
    one = Score(
        model="",
        reference="",
        layer="",
        reference_layer="",
        measure="linear_cka",
        stir=0.0,
        similarity=0.8,
        floor=None,
        ceiling=0.99,
        debiased=Anchors(0.6, 0.7, None, 0.98),
        num_samples=10,
        relative_error=RelativeError(0.1, 0.1, 0.1),
        converged=0.9,
        notes=("10% of the inversions did not reach",),
    )
    pairs = enumerate(permutations(models, 2))
    return StirResult(
        tuple(
            replace(one, stir=i / 10, model=m[0], layer=m[1], reference=r[0], reference_layer=r[1])
            for i, (r, m) in pairs
        )
    )


def test_models_are_told_apart() -> None:
    same = ("penultimate",)
    assert list(labels(result(("x/a", *same), ("x/b", *same))).values()) == ["a", "b"]
    assert list(labels(result(("x/a", *same), ("y/a", *same))).values()) == ["x/a", "y/a"]
    assert list(labels(result(("x/a", *same), ("x/a@main", *same))).values()) == ["a", "a@main"]
    layers = labels(result(("x/a", "logits"), ("x/a", "penultimate"), ("x/b", "logits")))
    assert list(layers.values()) == ["a logits", "a penultimate", "b"]


def test_heat_map_has_a_place_for_every_model() -> None:
    axes = heat_map(result(("x/a", "logits"), ("y/a", "logits"), ("y/a", "penultimate")))
    shown = {
        (round(t.get_position()[1]), round(t.get_position()[0])): t.get_text() for t in axes.texts
    }
    assert len(shown) == 9
    assert [shown[at] for at in ((0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1))] == [
        "0.00",
        "0.10",
        "0.20",
        "0.30",
        "0.40",
        "0.50",
    ]
    assert all(shown[i, i] == "0.99\nceiling" for i in range(3))


def test_table_says_first_what_must_be_known() -> None:
    lines = table(result(("x/a", "logits"), ("x/b", "logits"))).splitlines()
    assert lines[0] == "Note: a: 10% of the inversions did not reach"
    assert lines[-4].split("|")[1:5] == [" b        ", " a         ", " 10 ", " 0.000 "]
    assert lines[-2].split("|")[6] == " –     "


def with_notes() -> StirResult:
    """Three models, each judged on the inversions of two."""
    found = result(("x/a", "logits"), ("x/b", "logits"), ("x/c", "logits"))
    of_set = {"x/a": "few converged", "x/b": "a stream", "x/c": "<b>copies\n|"}
    scores = tuple(
        replace(s, notes=(of_set[s.reference], f"{s.model}: another canvas")) for s in found.scores
    )
    return StirResult(scores)


def test_notes_stand_once_under_the_network_that_they_are_about() -> None:
    lines = [line for line in table(with_notes()).splitlines() if line.startswith("Note")]
    assert sorted(lines) == [
        "Note: a: another canvas",
        "Note: a: few converged",
        "Note: b: a stream",
        "Note: b: another canvas",
        "Note: c: <b>copies |",
        "Note: c: another canvas",
    ]


def test_html_has_the_debiased_values_and_groups_the_notes() -> None:
    shown = with_notes()._repr_html_()
    body = ElementTree.fromstring(f"<body>{shown}</body>")
    (head,), rows = ([*next(iter(body.iter(part)))] for part in ("thead", "tbody"))
    names = [cell.text for cell in head]
    values, debiased = (
        dict(zip(names, [cell.text for cell in row], strict=True)) for row in rows[:2]
    )
    anchors = ("STIR", "similarity", "floor", "ceiling")
    assert debiased["model"] == "debiased"
    assert [debiased[name] for name in anchors] == ["0.600", "0.700", "–", "0.980"]
    assert values["floor"] == "–"
    notes: dict[str | None, list[str | None]] = {}
    for one in next(iter(body.iter("dl"))):
        if one.tag == "dt":
            notes[one.text] = []
        else:
            notes[list(notes)[-1]].append(one.text)
    assert {name: sorted(map(str, some)) for name, some in notes.items()} == {
        "a": ["another canvas", "few converged"],
        "b": ["a stream", "another canvas"],
        "c": ["<b>copies |", "another canvas"],
    }


def test_below_each_score_are_the_debiased_values_and_the_error_over_the_spread() -> None:
    found = result(("x/a", "logits"), ("x/b", "logits"))
    known = replace(found.scores[0], spread_error=SpreadError(0.25, 0.3, 0.4))
    lines = table(StirResult((known, found.scores[1]))).splitlines()
    shown = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[-4:]]
    assert shown[0] == ["b", "a", "10", "0.000", "0.800", "–", "0.990", "0.100", "90%"]
    assert shown[1] == ["debiased", "", "", "0.600", "0.700", "–", "0.980", "0.250", ""]
    assert shown[3][-2] == "–"
    assert max(map(len, lines[-6:])) <= 88


def test_the_numbers_of_a_heat_map_are_legible() -> None:
    """A contrast of 4.5 on every colour (WCAG 2, level AA)."""
    import matplotlib

    from stir_hf.report.figures import _legible

    def luminance(colour: tuple[float, ...]) -> float:
        parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
        return sum(p * w for p, w in zip(parts, (0.2126, 0.7152, 0.0722), strict=True))

    for i in range(101):
        colour = matplotlib.colormaps["viridis"](i / 100)
        text = luminance((0.0,) * 3 if _legible(colour) == "black" else (1.0,) * 3)
        bright, dark = sorted((text, luminance(colour)), reverse=True)
        assert (bright + 0.05) / (dark + 0.05) > 4.5


def test_wide_and_combining_characters_leave_a_table_straight() -> None:
    lines = Table(("model", "STIR"), [("猫犬", "0.5"), ("ne\u0301e", "0.7"), ("a", "–")]).markdown()
    assert lines[0] == "| model | STIR |"
    assert lines[2:] == ["| 猫犬  | 0.5  |", "| ne\u0301e   | 0.7  |", "| a     | –    |"]


def test_the_line_of_a_run_names_what_did_not_converge() -> None:
    line = notes_line(result(("lab/a", "logits"), ("lab/b", "logits")))
    assert line is not None
    assert "above the tolerance: a (10%), b (10%). They are good enough for the scores" in line
    assert "no ceiling is below 0.98" in line
    assert "\n" not in line


def test_the_line_of_a_run_says_what_to_do_where_a_ceiling_is_low() -> None:
    done = result(("lab/a", "logits"), ("lab/b", "logits"))
    (first, *others) = done.scores
    assert first.debiased is not None
    low = replace(first, debiased=replace(first.debiased, ceiling=0.6))
    line = notes_line(replace(done, scores=(low, *others)))
    assert line is not None
    assert "Increase --steps or choose another layer; do not rely on a score with a low" in line


def test_no_line_where_all_converged() -> None:
    done = result(("lab/a", "logits"), ("lab/b", "logits"))
    whole = replace(done, scores=tuple(replace(score, converged=1.0) for score in done.scores))
    assert notes_line(whole) is None


def test_the_page_of_a_result_escapes_names_and_loads_nothing() -> None:
    bad = "<script>alert(1)<script>"
    page = report_page(result((bad, "logits"), ("lab/b", "logits")), {"pairs": b"data"})
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "data:image/png;base64,ZGF0YQ==" in page
    assert re.findall(r'(?:src|href)="([^"]*)"', page) == ["data:image/png;base64,ZGF0YQ=="]
    assert "url(" not in page
