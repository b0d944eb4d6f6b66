"""What processes tell each other and count together."""

import numpy as np
import pytest

from stir_hf.job.claims import Claims
from stir_hf.runtime import Counters
from tests.processes.ranks import Ranks

BEGIN = "from stir_hf.runtime import Processes\np = Processes('cpu')\n"


def test_each_knows_its_place(three: Ranks) -> None:
    found = three.run(BEGIN + "found = [p.rank, p.count, p.main, p.exchange(p.rank)]")
    assert found == [[r, 3, r == 0, [0, 1, 2]] for r in range(3)]


def test_what_the_main_process_makes_all_have(three: Ranks) -> None:
    code = "made = []\nfound = [p.on_main(lambda: made.append(1) or 'made'), len(made)]"
    assert three.run(BEGIN + code) == [["made", 1], ["made", 0], ["made", 0]]


def test_values_are_merged_in_the_main_process(three: Ranks) -> None:
    code = "found = p.merged([p.rank], lambda a, b: a + b)"
    assert three.run(BEGIN + code)[0] == [0, 1, 2]


def test_numbers_are_counted_together(two: Ranks) -> None:
    code = "c = p.counters()\nc.add('a', p.rank + 1)\np.wait()\nfound = [c.get('a'), c.get('b')]"
    assert two.run(BEGIN + code) == [[3, 0], [3, 0]]
    assert two.run(BEGIN + code) == [[3, 0], [3, 0]]  # new ones begin at 0


@pytest.mark.parametrize("kind", ["RequestError", "RunError"])
@pytest.mark.parametrize("rank", [0, 1])
def test_what_one_fails_with_ends_all(two: Ranks, kind: str, rank: int) -> None:
    code = (
        f"from stir_hf.errors import {kind}\n"
        "with p.together():\n"
        f"    if p.rank == {rank}: raise {kind}('no such thing')\n"
        "    p.wait()\n"
    )
    two.tell(BEGIN + code)
    answers = two.answers()
    assert [one["error"] for one in answers] == [kind, kind]
    assert all("no such thing" in one["text"] for one in answers)
    assert [one["notes"] == [] for one in answers] == [rank == 0, rank == 1]  # that one tells
    assert two.run(BEGIN + "found = p.exchange(p.rank)") == [[0, 1], [0, 1]]  # and they go on


def test_what_all_fail_with_all_keep(two: Ranks) -> None:
    two.tell(BEGIN + "with p.together():\n    raise ValueError(f'mine {p.rank}')")
    answers = two.answers()
    assert [one["text"] for one in answers] == ["mine 0", "mine 1"]
    assert [one["notes"] for one in answers] == [[], ["told by another process"]]


def test_what_merging_fails_with_ends_all(three: Ranks) -> None:
    code = "with p.together():\n    p.merged(p.rank, lambda a, b: 1 / 0)\n    p.wait()"
    three.tell(BEGIN + code)
    assert all("division by zero" in one["text"] for one in three.answers())


def test_one_card_is_refused_for_several(two: Ranks) -> None:
    two.tell("from stir_hf.runtime import Processes\nProcesses('cpu:0')")
    assert all("is one card, and there are 2 processes" in one["text"] for one in two.answers())


@pytest.mark.parametrize("most", [1, 2, 16])
@pytest.mark.parametrize("takers", [1, 2, 3, 5])
@pytest.mark.parametrize("count", [4, 20, 97])
def test_every_row_is_claimed_once(count: int, takers: int, most: int) -> None:
    keys = np.argwhere(np.random.default_rng(0).random((count, 2)) < 0.7)
    counters = Counters(None)
    claims = [Claims(keys, counters, "set", takers) for _ in range(takers)]
    taken: list[tuple[int, int]] = []
    waiting = list(range(takers))
    while waiting:
        who = waiting.pop(0)
        if found := claims[who].take(most):
            taken += found
            waiting.append(who)
    assert taken == [tuple(key) for key in keys.tolist()]


def test_several_take_less_towards_the_end() -> None:
    keys = np.argwhere(np.ones((200, 1), bool))
    claims = Claims(keys, Counters(None), "set", 2)
    sizes = []
    while found := claims.take(40):
        sizes.append(len(found))
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == 40
    assert sizes[-60:] == [1] * 60
    assert claims.take(40) == []


def test_a_slow_process_leaves_the_last_images_to_the_others() -> None:
    keys = np.stack((np.arange(40), np.zeros(40, np.int64)), axis=1)
    counters = Counters(None)
    slow, fast = (Claims(keys, counters, "set", 2) for _ in range(2))
    assert not slow.enough(16)  # nobody knows yet
    slow.note(100, 1.0)
    fast.note(300, 1.0)
    assert len(slow.take(16)) == 1  # so that it holds none that another could make
    while counters.get("set") < 28:
        fast.take(1)
    assert [slow.enough(active) for active in (0, 3, 4, 16)] == [False, False, True, True]
    assert not fast.enough(16)
    alone = Claims(keys, Counters(None), "set", 1)
    alone.note(1, 1.0)
    assert not alone.enough(16)
