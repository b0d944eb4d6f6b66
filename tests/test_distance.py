"""A distance from outside the package, declared in one class: told as what it is everywhere."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

import stir_hf
from stir_hf import hub
from stir_hf.publish import score_rows, scores
from stir_hf.publish.boards.leaderboard import _board, _Scored
from stir_hf.report import Reading, heat_map, html_table, table
from stir_hf.report.board import board_html, board_text
from stir_hf.report.cards import tables
from stir_hf.report.saved import report_page
from stir_hf.results import Scale, StirResult
from stir_hf.similarity import MEASURES, Bounds, Closer
from tests.tiny import Net, inverted, noise_images


class Rows:
    """Keeps all rows."""

    def __init__(self) -> None:
        self.pairs: list[tuple[NDArray[Any], NDArray[Any]]] = []

    @property
    def n(self) -> int:
        return sum(len(x) for x, _ in self.pairs)

    def update(self, x: Any, y: Any) -> None:
        self.pairs.append((np.asarray(x, float), np.asarray(y, float)))

    def merge(self, other: "Rows") -> None:
        self.pairs += other.pairs

    def value(self) -> float:
        """The squared distance after the best rotation, of rows whose sides have length 3."""
        x, y = (np.concatenate(side) for side in zip(*self.pairs, strict=True))
        x, y = (3 * (s - s.mean(0)) / np.linalg.norm(s - s.mean(0)) for s in (x, y))
        common = np.linalg.svd(x.T @ y, compute_uv=False).sum()
        return max(0.0, float(18 - 2 * common))

    def debiased(self) -> float:
        raise AssertionError("it has none")


@dataclass(frozen=True)
class ToyDistance:
    """Squared Procrustes distance of sides of length 3."""

    least_rows: ClassVar[int] = 3
    has_debiased: ClassVar[bool] = False
    bounds: ClassVar[Bounds] = (0.0, None)
    closer: ClassVar[Closer] = "smaller"

    def accumulator(self) -> Rows:
        return Rows()


@pytest.fixture(scope="module")
def result() -> Iterator[StirResult]:
    """The reference and two other networks on its inversions."""
    MEASURES.add("toy_distance")(ToyDistance)
    made = inverted(Net(), noise_images(12), steps=60, tolerance=0.3)
    how: dict[str, Any] = {"measure": "toy_distance", "progress": False}
    yield stir_hf.score([Net(2), Net(), Net(1)], made, **how)
    MEASURES.remove("toy_distance")


@pytest.fixture
def rows(result: StirResult, tmp_path: Path) -> list[dict[str, Any]]:
    """The scores as published files, read by one who does not know the measure."""
    paths = [score_rows.write(row, tmp_path) for row in score_rows.rows_of(result)]
    return [scores.read(path) for path in paths]


def test_a_score_says_its_scale(result: StirResult) -> None:
    for score in result.scores:
        assert score.scale == Scale(0.0, None, "smaller")
        assert score.stir is not None
        assert score.floor is not None
        assert score.ceiling is not None
        assert score.ceiling < score.floor
    assert max(s.stir or 0 for s in result.scores) > 1
    assert StirResult.from_dict(result.to_dict()) == result


def test_tables_and_page_say_that_smaller_is_closer(result: StirResult) -> None:
    assert "toy_distance, where smaller is closer" in table(result)
    assert "toy_distance, where smaller is closer" in html_table(result)
    told = report_page(result).split("<table>")[0]
    assert "of the way from the floor to the ceiling" in told
    assert not re.search("ceiling, |near the ceiling|no debiased|not above", told)


def test_the_heat_map_is_brightest_where_networks_are_closest(result: StirResult) -> None:
    image = heat_map(result).images[0]
    near, far = (sum(image.to_rgba(np.array([value]))[0][:3]) for value in (0.0, 9.0))
    assert near > far


def test_a_board_begins_with_the_closest(rows: list[dict[str, Any]]) -> None:
    found = hub.Found("lab/x", "dataset", "a" * 40, reachable=False)
    board = _board(found, [_Scored(row, {}, f"scores/{i}") for i, row in enumerate(rows)])
    values = [line.stir for line in board.lines]
    assert values == sorted(values, key=lambda value: value or 0.0)
    assert board.lines[0].between == pytest.approx(1, abs=0.05)
    assert not any({"ceiling", "undefined"} & set(line.marks) for line in board.lines)
    for text in (board_text(board), board_html(board)):
        assert "toy_distance, where smaller is closer" in text
        assert "above its floor" not in text


def test_a_card_begins_with_the_closest(rows: list[dict[str, Any]]) -> None:
    (found,) = tables(rows, ())
    values = [row["stir"] for row in found.rows]
    assert values == sorted(values)
    assert found.about["measure"] == "`toy_distance`, where smaller is closer"
    told = Reading.of(found.rows[0]).sentence("A", "B")
    assert told.startswith(f"{values[0]:.2f} (floor {found.rows[0]['floor']:.2f}, ceiling ")
    assert "of what B ignores lies 100% of the way" in told
    assert told.endswith("it has no interval.")


def test_a_score_no_closer_than_its_floor_is_doubted() -> None:
    row = {"measure_closer": "smaller", "measure_least": 0.0, "converged": 0.9}
    far = Reading.of({**row, "stir": 2.0, "floor": 2.0, "ceiling": 0.1})
    assert far.doubts == ("the score is not below its floor",)
    near = Reading.of({**row, "stir": 0.2, "floor": 2.0, "ceiling": 0.1})
    assert near.doubts == ()
    assert near.between == pytest.approx(1.8 / 1.9)
    assert Reading.of({**row, "stir": 0.2, "floor": 0.1, "ceiling": 0.1}).between is None
    assert Reading.of(row).doubts == ("there is no score",)
