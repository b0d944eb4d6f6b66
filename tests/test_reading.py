"""A score in words."""

import pytest

from stir_hf.report import Reading


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
        f"A scores {stir:.2f}, between a floor of 0.01 and a ceiling of 0.99: it ignores {words}."
    )


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ((0.802, None, 0.99, 0.9), "no floor"),
        ((0.2, 0.0, 0.4, 0.9), "the ceiling is 0.40"),
        ((0.92, 0.6, 0.95, 0.9), "the ceiling is 0.95"),
        ((-0.166, 0.05, 0.99, 0.9), "not above the floor"),
        ((0.5, 0.5, 0.99, 0.9), "not above the floor"),
        ((0.5, 0.0, 0.92, 0.1), "10% of the inversions converged"),
        ((None, 0.0, 0.99, 0.9), "undefined"),
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


def test_the_debiased_values_are_read_where_there_are_any() -> None:
    row = {"stir": 0.8, "floor": 0.7, "ceiling": 0.99, "stir_debiased": -0.1, "converged": 1.0}
    debiased = {**row, "floor_debiased": 0.0, "ceiling_debiased": 0.95}
    assert Reading.of(debiased) == Reading(-0.1, 0.0, 0.95, 1.0)
    assert Reading.of({**row, "stir_debiased": None}) == Reading(0.8, 0.7, 0.99, 1.0)
    assert Reading.of({}).doubts == ("the score is undefined",)
