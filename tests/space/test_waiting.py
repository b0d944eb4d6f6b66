"""What waits and works, by a stand-in for gradio's queue: who is there, who has left, what is
named.
"""

import queue
import types
from pathlib import Path
from typing import Any

import pytest

from stir_hf.space import waiting
from stir_hf.space.waiting import UNREAD, Visit, Waiting


def event(session: str, address: str = "9.9.9.9", *, alive: bool = True, data: Any = ()) -> Any:
    return types.SimpleNamespace(
        session_hash=session,
        alive=alive,
        concurrency_id="any",
        request=types.SimpleNamespace(scope={"client": (address, 1)}),
        data=types.SimpleNamespace(data=data),
    )


def of(*working: Any, waits: tuple[Any, ...] = (), **unread: int) -> Any:
    """A queue with these events, and so many messages unread by session."""
    messages: dict[str, Any] = {name: queue.SimpleQueue() for name in unread}
    for name, count in unread.items():
        for i in range(count):
            messages[name].put(i)
    return types.SimpleNamespace(
        active_jobs=[None, list(working)],
        event_queue_per_concurrency_id={"any": types.SimpleNamespace(queue=list(waits))},
        pending_messages_per_session=messages,
    )


def test_all_requests_of_an_address_count() -> None:
    found = Waiting(of(event("a"), event("b"), waits=(event("c"), event("d", "8.8.8.8"))))
    assert [found.count(address) for address in ("9.9.9.9", "8.8.8.8", "1.1.1.1")] == [3, 1, 0]


def test_who_has_left() -> None:
    there = Waiting(of(event("a"), event("b", alive=False), a=1))
    assert not there.is_gone("a")
    assert there.is_gone("b")  # the stream was closed
    assert there.is_gone("c")  # taken back
    assert Waiting(of(event("a"), a=UNREAD + 1)).is_gone("a")


def test_what_nobody_reads_is_dropped() -> None:
    found = of(event("a"), a=5, b=5)
    Waiting(found).forget("b")
    Waiting(found).forget("a")  # another request of the session is at work
    sizes = {name: one.qsize() for name, one in found.pending_messages_per_session.items()}
    assert sizes == {"a": 5, "b": 0}


@pytest.mark.parametrize("name", ["x.png", "Screenshot 3.04\u202fPM.png"])
def test_an_upload_that_is_named(name: str) -> None:
    path = Path("/tmp/gradio/a1b2") / name
    data = [[{"path": str(path)}]]
    waits = Waiting(of(event("a"), waits=(event("b", data=data),)))
    assert waits.names(path)
    assert waits.names(path, but="a")
    works = Waiting(of(event("a", data=data)))
    assert works.names(path)
    assert not works.names(path, but="a")
    assert not works.names(Path("/tmp/gradio/c3d4") / name)


def test_a_visit_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "LEFT", 0.01)
    found = of(a=3)
    blocks = types.SimpleNamespace(_queue=found)
    app = types.SimpleNamespace(get_blocks=lambda: blocks)
    asked = types.SimpleNamespace(app=app, headers={"x-gradio-user": "mcp"})
    request: Any = types.SimpleNamespace(session_hash="a", request=asked)
    visit = Visit(request)
    assert visit.is_of_a_tool
    assert visit.is_gone()
    visit.end()
    assert found.pending_messages_per_session["a"].qsize() == 0
    nobody = Visit()
    nobody.end()
    assert (nobody.is_gone(), nobody.is_of_a_tool) == (False, False)
