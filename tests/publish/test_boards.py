"""What a board says of its lines, which scores are of one network, and how it is shown."""

import json
import math
import random
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest

from stir_hf.publish.boards import networks
from stir_hf.publish.boards.reported import read_notes
from stir_hf.publish.scores import COLUMNS
from stir_hf.report import Reading
from stir_hf.report.board import Board, board_html, board_text
from stir_hf.report.board_lines import MARKS, Line, ranked
from stir_hf.report.cells import cell
from tests.publish.rows import HOSTILE

LINE = Line(
    "lab/a",
    "a" * 40,
    "b" * 16,
    stir=0.7,
    similarity=0.8,
    floor=0.1,
    ceiling=1.0,
    stir_debiased=0.6,
    similarity_debiased=0.7,
    floor_debiased=0.1,
    ceiling_debiased=0.9,
    relative_error=0.02,
    converged=0.9,
    method="polyak",
    source="scores/a.parquet",
)
BOARD = Board(
    "lab/board",
    "c" * 40,
    "d" * 16,
    "lab/reference",
    "e" * 40,
    "penultimate",
    "lab/images",
    "test",
    "penultimate",
    "linear_cka",
    100,
    1,
    (LINE,),
)


@pytest.mark.parametrize(
    ("changed", "marks"),
    [
        ({}, []),
        ({"stir_debiased": 0.1}, ["floor"]),
        ({"stir_debiased": -0.166, "stir": 0.802}, ["floor"]),
        ({"stir": 0.1}, ["floor"]),
        ({"floor_debiased": None, "floor": 0.7}, ["floor"]),
        ({"ceiling_debiased": 0.89}, ["ceiling"]),
        ({"ceiling_debiased": None, "ceiling": 0.5}, ["ceiling"]),
        ({"ceiling_debiased": 0.95, "floor_debiased": 0.5}, ["range"]),
        ({"converged": 0.49, "ceiling_debiased": 0.94}, ["converged"]),
        ({"converged": 0.03, "ceiling_debiased": 0.95}, []),
        ({"converged": None}, []),
        ({"stir_debiased": None}, ["undefined"]),
        ({"spread": 0.09}, ["several"]),
        ({"reported": True}, ["reported"]),
    ],
)
def test_marks(changed: dict[str, Any], marks: list[str]) -> None:
    line = replace(LINE, **changed)
    assert list(line.marks) == marks
    text = board_text(replace(BOARD, lines=(line,)))
    for name, (sign, words) in MARKS.items():
        assert (f"- {sign} {words}" in text) == (name in marks)
        assert (f" {sign}" in text.partition("\n\n|")[2].partition("\n\n")[0]) == (name in marks)


@pytest.mark.parametrize("seed", range(20))
def test_the_board_doubts_what_the_card_doubts(seed: int) -> None:
    rng = random.Random(seed)
    names = ("stir_debiased", "floor_debiased", "ceiling_debiased", "converged")
    values: Any = {name: rng.choice([0, 0.3, 0.49, 0.6, 0.92, 1.0]) for name in names}
    line = replace(LINE, **values)
    assert bool(line.marks) == bool(Reading.of(vars(line)).doubts)


@pytest.mark.parametrize(
    ("floor", "ceiling", "between"),
    [(0.1, 0.9, 0.625), (0.1, 0.55, None), (0.5, 0.1, None), (None, 0.9, None), (0.1, None, None)],
)
def test_the_place_between(floor: float | None, ceiling: float | None, between: Any) -> None:
    found = replace(LINE, floor_debiased=floor, ceiling_debiased=ceiling).between
    assert found == (None if between is None else pytest.approx(between))


def test_the_order_is_that_of_the_debiased_scores() -> None:
    values = [(0.2, 0.9), (None, 0.5), (0.6, 0.1), (None, None), (-0.1, 0.99), (None, 0.8)]
    lines = [replace(LINE, stir_debiased=one, stir=other) for one, other in values]
    found = [(line.stir_debiased, line.stir) for line in ranked(lines)]
    assert found == [(0.6, 0.1), (0.2, 0.9), (-0.1, 0.99), (None, 0.8), (None, 0.5), (None, None)]


def test_a_note_stands_once_with_the_lines_that_it_is_about() -> None:
    notes = [("all", "some"), ("all", "some", "one"), ("all",), ("all", "some"), ()]
    board = replace(BOARD, lines=tuple(replace(LINE, notes=some) for some in notes))
    assert board.notes == {"all": (1, 2, 3, 4), "some": (1, 2, 4), "one": (2,)}
    below = board_text(board).splitlines()[-3:]
    assert below == ["- Note: all", "- Note on 1–2, 4: some", "- Note on 2: one"]


@pytest.mark.parametrize("show", [board_text, board_html])
def test_hostile_text_in_every_place(show: Callable[[Board], str]) -> None:
    evil = f"{HOSTILE}<script>[x](http://evil)`"
    line = replace(LINE, model=evil, source=evil, notes=(evil,), method=evil)
    names = ("reference", "reference_layer", "dataset", "split", "layer", "measure", "repo")
    changed: dict[str, Any] = dict.fromkeys(names, evil)
    text = show(replace(BOARD, **changed, lines=(line,)))
    assert all(char.isprintable() or char == "\n" for char in text)
    assert "<script" not in text.replace(r"\<script", "")
    if show is board_text:
        assert len([one for one in text.splitlines() if one.startswith("|")]) == 3
        assert "](" not in text.replace(r"\](", "")


def test_plain_data_and_frames() -> None:
    plain = json.loads(json.dumps(BOARD.to_dict(), allow_nan=False))
    assert plain["lines"][0]["revision"] == "a" * 40
    assert plain["lines"][0]["between"] == pytest.approx(0.625)
    frame = BOARD.to_pandas()
    assert dict(frame.iloc[0])["marks"] == []
    assert list(replace(BOARD, lines=()).to_pandas().columns) == list(frame.columns)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("org/resnet_50", "org/resnet_50"),
        ("test[:500]", "test[:500]"),
        ("a|b", r"a\|b"),
        ("a\\|b", r"a\\\|b"),
        ("[a](b)", r"[a\](b)"),
        ("a\\", "a\\\\"),
        ("  a\n", "a"),
    ],
)
def test_cells(text: str, found: str) -> None:
    assert cell(text) == found


def connected(keys: list[dict[str, int | None]]) -> list[list[int]]:
    """The reference: spread from each place to all that share a key until nothing changes."""
    names = list(range(len(keys)))
    for _ in keys:
        for i, one in enumerate(keys):
            for j, other in enumerate(keys):
                if any(v is not None and v == other.get(k) for k, v in one.items()):
                    names[i] = names[j] = min(names[i], names[j])
    groups: dict[int, list[int]] = {}
    for place, name in enumerate(names):
        groups.setdefault(name, []).append(place)
    return sorted(groups.values())


@pytest.mark.parametrize("seed", range(30))
def test_scores_that_share_a_key_are_of_one_network(seed: int) -> None:
    rng = random.Random(seed)
    values = [None, *range(8)]
    keys = [{kind: rng.choice(values) for kind in "abc"} for _ in range(rng.randint(0, 12))]
    assert sorted(networks.together(keys)) == connected(keys)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models that the Hub is asked for; it calls `old/…` by `new/…` and knows no `gone/…`."""
    seen: list[str] = []

    def model_info(_: object, name: str, *, revision: str, **__: Any) -> Any:
        assert revision == "a" * 40
        seen.append(name)
        if name.startswith("down/"):
            raise ConnectionError(name)
        if name.startswith("gone/"):
            answer: Any = SimpleNamespace(status_code=404, headers={}, request=None)
            raise huggingface_hub.errors.RepositoryNotFoundError(name, response=answer)
        evil = name.startswith("evil/")
        return SimpleNamespace(id="\x1b[2J" if evil else name.replace("old/", "new/"))

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info)
    return seen


def test_the_hub_is_asked_once_for_each_model(asked: list[str]) -> None:
    names = [
        "old/x",
        "Old/X@main",
        "old/x@v2",
        "gone/y",
        "evil/z",
        "a\x1b/b",
        "../../x",
        "http://e/x",
        "plain",
    ]
    found = networks.present_ids((name, "a" * 40) for name in names)
    assert found == {"old/x": "new/x", "plain": "plain"}
    assert sorted(name.casefold() for name in asked) == ["evil/z", "gone/y", "old/x", "plain"]


def test_a_hub_that_is_away_is_not_asked_on(asked: list[str]) -> None:
    found = networks.present_ids(
        (f"{'down' if i == 3 else 'old'}/{i}", "a" * 40) for i in range(99)
    )
    assert len(asked) == 8
    assert len(found) == 7


def test_a_large_board_asks_for_its_first_models(asked: list[str]) -> None:
    networks.present_ids((f"old/{i}", "a" * 40) for i in range(500))
    assert len(asked) == networks.MOST_ASKED


@pytest.mark.parametrize("text", [None, "", 5, "no equals", "=;=;", "a=1" * 10000, math.nan])
def test_notes_of_others_are_read_or_passed_over(text: Any) -> None:
    assert all(isinstance(value, str) for value in read_notes(text).values())


@pytest.mark.parametrize("value", [True, [0.9], {"a": 1}, "high"])
def test_what_is_no_number_is_not_reported_as_one(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        COLUMNS["stir"].parsed(value)
