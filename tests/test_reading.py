"""A score in words."""

from dataclasses import MISSING, fields
from typing import Any

import pytest

from stir_hf.report import Reading
from stir_hf.report.board_lines import Line


@pytest.mark.parametrize(
    ("stir", "words"),
    [
        (0.97, "nearly everything that B ignores"),
        (0.7, "most of what B ignores"),
        (0.45, "about half of what B ignores"),
        (0.2, "a small part of what B ignores"),
        (0.03, "hardly anything that B ignores"),
    ],
)
def test_a_score_is_told_by_its_place_between_floor_and_ceiling(stir: float, words: str) -> None:
    told = Reading(stir, 0.01, 0.99, 0.8).sentence("A", "B")
    assert told == (
        f"A has a debiased score of {stir:.3f}, between a floor of 0.010 and a ceiling of 0.990: it"
        f" ignores {words}."
    )


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ((0.802, None, 0.99, 0.9), "no floor"),
        ((0.2, 0.0, 0.4, 0.9), "the ceiling, 0.400, is below 0.9"),
        ((0.92, 0.6, 0.95, 0.9), "the floor, 0.600, is near the ceiling, 0.950"),
        ((-0.166, 0.05, 0.99, 0.9), "not above its floor"),
        ((0.5, 0.5, 0.99, 0.9), "not above its floor"),
        ((0.5, 0.0, 0.92, 0.1), "less than 50% of the inversions converged"),
        ((None, 0.0, 0.99, 0.9), "there is no debiased score"),
    ],
)
def test_a_score_that_says_nothing_is_not_put_into_words(
    values: tuple[float | None, float | None, float | None, float | None], why: str
) -> None:
    found = Reading(*values)
    assert found.share is None
    told = found.sentence("A", "B")
    assert "cannot be told" in told
    assert why in told


def test_a_high_ceiling_shows_that_inversions_worked_which_did_not_converge() -> None:
    """As those of the demo: 3 % reach the tolerance, and the ceiling is 0.998."""
    assert Reading(0.5, 0.0, 0.998, 0.03).share == pytest.approx(0.5, abs=0.01)


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
        assert found.share == (None if found.doubts else line.between)
