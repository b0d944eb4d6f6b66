"""A score in words."""

import json
from dataclasses import MISSING, fields
from typing import Any

import pytest

from stir_hf.report import Reading
from stir_hf.report.board_lines import Line
from stir_hf.report.reading import FEWEST
from tests.conftest import ROOT

RESULTS = ROOT / "benchmarks" / "results"


def reading(stir: float | None, floor: float | None, ceiling: float | None, **more: Any) -> Reading:
    more = {"converged": 0.8, "num_samples": 10_000, **more}
    more["interval"] = None if stir is None else (stir - 0.01, stir + 0.01)
    return Reading(stir, floor, ceiling, **more)


@pytest.mark.parametrize(
    ("stir", "words"),
    [
        (0.97, "nearly everything that B ignores"),
        (0.7, "most of what B ignores"),
        (0.45, "about half of what B ignores"),
        (0.2, "a small part of what B ignores"),
        (0.03, "hardly anything that B ignores"),
        (-0.2, "hardly anything that B ignores"),
    ],
)
def test_a_score_is_told_by_its_place_between_floor_and_ceiling(stir: float, words: str) -> None:
    found = reading(stir, 0.01, 0.99)
    assert found.sentence("A", "B") == (
        f"{stir:.2f} [{stir - 0.01:.2f}, {stir + 0.01:.2f}] (debiased; floor 0.01, ceiling 0.99):"
        f" A ignores {words}."
    )


WORDS = ("hardly anything", "a small part", "about half", "most", "nearly everything")
BORDERS = (0.1, 0.35, 0.65, 0.9)


@pytest.mark.parametrize("half", [0.02, 0.05, 0.1, 0.2])
@pytest.mark.parametrize("border", range(len(BORDERS)))
def test_words_hold_for_the_whole_interval(border: int, half: float) -> None:
    """A score on either side of a border that its interval contains gets the words of both."""
    for side in (-0.5, 0.5):
        stir = BORDERS[border] + side * half
        interval = (stir - half, stir + half)
        found = Reading(stir, 0.0, 1.0, 1.0, num_samples=64, interval=interval)
        told = found.sentence("A", "B").partition(": A ignores ")[2]
        named = [words for words in WORDS if words in told]
        if len(named) == 2:  # between the first and the last of them
            named = list(WORDS[WORDS.index(named[0]) : WORDS.index(named[1]) + 1])
        assert {WORDS[border], WORDS[border + 1]} <= set(named), (stir, told)


def test_the_deviation_is_that_of_the_documented_measurement() -> None:
    """No measured one is above the documented formula by more than a tenth."""
    rows = json.loads((RESULTS / "deviation.json").read_text("utf-8"))["rows"]
    assert len(rows) >= 32
    for row in rows:
        for count, measured in row["deviations"].items():
            if int(count) >= FEWEST:
                assert measured < 1.1 * row["formula"][count], (row, count)


def test_a_score_without_an_interval_is_told_by_its_place_alone() -> None:
    told = Reading(0.5, 0.0, 1.0, 1.0, num_samples=64).sentence("A", "B")
    assert "lies 50% of the way from the floor to the ceiling; it has no interval." in told


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ((0.802, None, 0.99, 0.9), "it has no floor"),
        ((0.2, 0.0, 0.4, 0.9), "the ceiling, 0.400, is below 0.9"),
        ((0.92, 0.6, 0.95, 0.9), "the floor, 0.600, is near the ceiling, 0.950"),
        ((0.5, 0.0, 0.92, 0.1), "less than 50% of the inversions converged"),
        ((None, 0.0, 0.99, 0.9), "there is no debiased score"),
    ],
)
def test_a_score_that_says_nothing_is_not_put_into_words(
    values: tuple[float | None, float | None, float | None, float | None], why: str
) -> None:
    found = Reading(*values, num_samples=200)
    assert found.share is None
    told = found.sentence("A", "B")
    assert "cannot be told from these 200 samples" in told
    assert why in told
    assert told.startswith("No score (" if values[0] is None else f"{values[0]:.2f} (debiased; ")


@pytest.mark.parametrize(("stir", "debiased"), [(0.79, 0.9), (0.95, 0.97), (0.98, -0.74)])
def test_few_samples_are_not_put_into_words(stir: float, debiased: float) -> None:
    """Scores of 4 images that were told firmly and wrongly."""
    row = {"stir": stir, "floor": 0.6, "ceiling": 0.999, "converged": 1.0, "num_samples": 4}
    anchors = {"stir_debiased": debiased, "floor_debiased": 0.0, "ceiling_debiased": 0.999}
    told = Reading.of({**row, **anchors}).sentence("A", "B")
    assert "cannot be told from these 4 samples: there are fewer than 16 samples." in told
    assert "few" in Reading.of({**row, **anchors}).cautions
    assert "few" not in Reading.of({**row, **anchors, "num_samples": 16}).cautions


def test_a_score_at_its_floor_says_that_little_is_shared() -> None:
    """The words are the same on both sides of the floor."""
    above, below = (
        Reading(stir, 0.05, 0.99, 0.9, num_samples=64, interval=(stir - 0.12, stir + 0.12))
        .sentence("A", "B")
        .partition(": ")[2]
        for stir in (0.07, 0.03)
    )
    assert above == below
    assert above == "A ignores between hardly anything and a small part of what B ignores."


def test_a_high_ceiling_shows_that_inversions_worked_which_did_not_converge() -> None:
    """As those of the demo: 3 % reach the tolerance, and the ceiling is 0.998."""
    assert reading(0.5, 0.0, 0.998, converged=0.03).share == pytest.approx(0.5, abs=0.01)


def test_a_score_without_a_floor_is_not_doubted() -> None:
    """As those of inversions that began from one image for all."""
    assert Reading(0.5, None, 0.99, 0.9).doubts == ()
    assert Reading(0.5, 0.0, None, 0.9).doubts == ()


def test_plain_values_are_not_read_as_debiased_ones() -> None:
    row = {"stir": 0.8, "floor": 0.1, "ceiling": 0.99, "stir_debiased": 0.6, "converged": 1.0}
    debiased = {**row, "floor_debiased": 0.0, "ceiling_debiased": 0.95}
    assert Reading.of(debiased) == Reading(0.6, 0.0, 0.95, 1.0, (0.8, 0.1, 0.99))
    assert Reading.of({**row, "stir_debiased": None}).stir is None
    assert Reading.of({**row, "stir_debiased": None}).share is None
    assert Reading.of({}).doubts == ("there is no debiased score",)


def test_a_plain_score_at_its_floor_or_a_low_plain_ceiling_is_a_caution() -> None:
    row = {"stir": 0.8, "floor": 0.81, "ceiling": 0.99, "stir_debiased": 0.6}
    assert list(Reading.of(row).cautions) == ["floor"]
    assert list(Reading.of({**row, "floor": 0.1, "ceiling": 0.5}).cautions) == ["ceiling"]


@pytest.mark.parametrize("floor", [None, -0.1, 0.0, 0.3, 0.45, 0.7])
@pytest.mark.parametrize("ceiling", [None, 0.4, 0.89, 0.9, 0.94, 0.95, 1.0])
@pytest.mark.parametrize("converged", [None, 0.0, 0.49, 0.5, 1.0])
def test_board_and_card_have_the_same_doubts(
    floor: float | None, ceiling: float | None, converged: float | None
) -> None:
    needed = [field.name for field in fields(Line) if field.default is MISSING]
    nothing: dict[str, Any] = dict.fromkeys(needed)
    for stir in (None, -0.1, 0.3, 0.45, 0.9):
        row = {"stir_debiased": stir, "floor_debiased": floor, "ceiling_debiased": ceiling}
        found = Reading.of({**row, "converged": converged})
        line = Line(**{**nothing, **row, "converged": converged})
        assert line.marks == tuple(found.cautions)
        assert found.share == (None if found.blocked else line.between)
