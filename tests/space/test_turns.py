"""The line of requests."""

import threading
from contextlib import ExitStack

import pytest

from stir_hf.space import jobs, work
from stir_hf.space.asked import LIMITS
from stir_hf.space.turns import Turns


def test_the_first_come_is_the_first_served() -> None:
    turns, stacks = Turns(), [ExitStack() for _ in range(4)]
    places = [stack.enter_context(turns.turn()) for stack in stacks]
    assert [turns.before(place) for place in places] == [0, 1, 2, 3]
    stacks[1].close()  # a visitor who leaves
    assert [turns.before(places[i]) for i in (0, 2, 3)] == [0, 1, 2]
    stacks[0].close()
    assert [turns.before(places[i]) for i in (2, 3)] == [0, 1]
    stacks[2].close()
    stacks[3].close()
    assert len(turns) == 0


def test_who_waits_is_woken_when_the_line_moves() -> None:
    turns, first = Turns(), ExitStack()
    first.enter_context(turns.turn())
    with turns.turn() as place:
        threading.Timer(0.05, first.close).start()
        assert turns.before(place, wait=30) == 0


def test_the_time_goes_by_that_of_the_last_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("stir_hf.space.turns.time.monotonic", lambda: now[0])
    turns = Turns()
    assert turns.seconds(1) is None
    with turns.turn():
        now[0] = 30
        turns.note()
    with turns.turn():
        now[0] = 30.1  # it is refused at once, which says nothing of the others
    with turns.turn():
        now[0] = 40.1  # at work for 10 of 30 seconds
        assert turns.seconds(1) == pytest.approx(20)
        assert turns.seconds(3) == pytest.approx(80)
        now[0] = 90
        assert turns.seconds(2) == 31  # the one at work takes longer than usual


def test_a_request_that_waits_says_how_many_are_before(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = Turns()
    monkeypatch.setattr(work, "TURNS", turns)
    with turns.turn(), turns.turn():
        messages = work.run(jobs.compare, None, LIMITS)
        assert next(messages) == {"wait": {"before": 2, "seconds": None}}
        messages.close()
    assert len(turns) == 0
