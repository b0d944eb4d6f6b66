"""What waits and works, by a stand-in for gradio's queue: who is there, who has left, what is
named.
"""

import asyncio
import types
from pathlib import Path
from typing import Any

import pytest
from gradio.context import LocalContext

from stir_hf.space.waiting import STILL, UNREAD, Head, Visit, Waiting


def event(session: str, address: str = "9.9.9.9", *, alive: bool = True, data: Any = ()) -> Any:
    return types.SimpleNamespace(
        _id=f"event of {session}",
        session_hash=session,
        alive=alive,
        request=types.SimpleNamespace(scope={"client": (address, 1)}),
        data=types.SimpleNamespace(data=data),
    )


def of(*working: Any, waits: tuple[Any, ...] = (), **unread: int) -> Any:
    """A queue with these events, and so many messages unread by session."""
    messages: dict[str, Any] = {name: asyncio.Queue() for name in unread}
    for name, count in unread.items():
        for i in range(count):
            messages[name].put_nowait(f"{i} to {name}")
    return types.SimpleNamespace(
        active_jobs=[None, list(working)],
        event_queue_per_concurrency_id={"any": types.SimpleNamespace(queue=list(waits))},
        pending_messages_per_session=messages,
    )


def test_all_requests_of_an_address_count() -> None:
    found = Waiting(of(event("a"), event("b"), waits=(event("c"), event("d", "8.8.8.8"))))
    assert [found.count(address) for address in ("9.9.9.9", "8.8.8.8", "1.1.1.1")] == [3, 1, 0]


def test_who_is_at_work() -> None:
    there = Waiting(of(event("a"), event("b", alive=False)))
    assert there.is_at_work("event of a")
    assert not there.is_at_work("event of b")  # the stream was closed
    assert not there.is_at_work("event of c")  # taken back


def test_what_nobody_reads_is_dropped() -> None:
    found = of(event("works"), works=5, left=5, reads=5)
    waiting = Waiting(found)
    waiting.sweep(now=0)
    found.pending_messages_per_session["reads"].get_nowait()
    waiting.sweep(now=STILL + 1)
    sizes = {name: one.qsize() for name, one in found.pending_messages_per_session.items()}
    assert sizes == {"works": 5, "left": 0, "reads": 4}
    waiting.sweep(now=2 * STILL + 3)
    assert found.pending_messages_per_session["reads"].empty()


def test_a_head_that_is_still() -> None:
    head = Head()
    assert not head.is_still([], now=0)
    assert not head.is_still(["first", "second"], now=1)
    assert not head.is_still(["first", "second"], now=STILL)
    assert head.is_still(["first", "second", "third"], now=STILL + 2)
    assert not head.is_still(["second", "third"], now=STILL + 3)  # slow, but there


@pytest.mark.parametrize("name", ["x.png", "Screenshot 3.04\u202fPM.png"])
def test_an_upload_that_is_named(name: str) -> None:
    path = Path("/tmp/gradio/a1b2") / name
    data = [[{"path": str(path)}]]
    waits = Waiting(of(event("a"), waits=(event("b", data=data),)))
    assert waits.names(path)
    assert waits.names(path, but="event of a")
    works = Waiting(of(event("a", data=data)))
    assert works.names(path)
    assert not works.names(path, but="event of a")
    assert not works.names(Path("/tmp/gradio/c3d4") / name)


def visit_of(found: Any, own: str | None) -> Visit:
    app = types.SimpleNamespace(get_blocks=lambda: types.SimpleNamespace(_queue=found))
    asked = types.SimpleNamespace(app=app, headers={"x-gradio-user": "mcp"})
    request: Any = types.SimpleNamespace(session_hash="a", request=asked)
    token = LocalContext.event_id.set(own)
    try:
        return Visit(request)
    finally:
        LocalContext.event_id.reset(token)


def test_a_visit_is_its_own_request_not_its_session() -> None:
    other = event("a")
    other._id = "another of the same session"
    assert visit_of(of(other), "event of a").is_gone()
    visit = visit_of(of(other, event("a")), "event of a")
    assert not visit.is_gone()
    assert visit.is_of_a_tool
    assert visit_of(of(event("a"), a=UNREAD + 1), "event of a").is_gone()


def test_who_reads_nothing_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(
        "stir_hf.space.waiting.time", types.SimpleNamespace(monotonic=lambda: now[0])
    )
    found = of(event("a"), a=3)
    visit = visit_of(found, "event of a")
    assert not visit.is_gone()
    now[0] = STILL + 1
    found.pending_messages_per_session["a"].get_nowait()
    assert not visit.is_gone()
    now[0] = 2 * STILL + 3
    assert visit.is_gone()


def test_nobody_is_never_gone() -> None:
    nobody = Visit()
    assert (nobody.is_gone(), nobody.is_of_a_tool) == (False, False)
    assert not nobody.is_shared(Path("/tmp/gradio/a1b2/x.png"))
