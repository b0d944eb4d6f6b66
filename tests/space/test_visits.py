"""Visits, as the gate notes them: who is there, who has left, and which uploads are named."""

import asyncio
import json
import threading
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from stir_hf.errors import RequestError, RunError
from stir_hf.space.asked import LIMITS
from stir_hf.space.following import follow, visiting
from stir_hf.space.guards.gate import Gate
from stir_hf.space.guards.visits import UNBEGUN, UNHEARD, UNSEEN, Visit, Visits

AT = "/gradio_api"


class Queue:
    """Gradio's part: it names what joins, and answers until it is told to stop."""

    def __init__(self) -> None:
        self.visits = list[Visit]()
        self.answers = asyncio.Event()
        self.status = 200

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        start = {"type": "http.response.start", "status": self.status, "headers": []}
        if scope["method"] == "POST":
            if "state" in scope:
                self.visits.append(scope["state"]["visit"])
            await send(start)
            body = {"event_id": "event"} if self.status == 200 else {"detail": "no"}
            await send({"type": "http.response.body", "body": json.dumps(body).encode()})
            return
        await send(start)
        left = asyncio.ensure_future(receive())
        done = asyncio.ensure_future(self.answers.wait())
        await asyncio.wait({left, done}, return_when=asyncio.FIRST_COMPLETED)
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        for task in (left, done):
            task.cancel()


class Page:
    """A visitor's side of the gate."""

    def __init__(self) -> None:
        self.queue, self.visits = Queue(), Visits()
        self.gate, self.left = Gate(self.queue, self.visits, {}), asyncio.Event()
        self.blocked = False

    async def join(self, path: str = "/queue/join", **body: Any) -> Visit:
        given = [{"type": "http.request", "body": json.dumps(body).encode()}]

        async def receive() -> Any:
            return given.pop()

        await self.gate(_scope("POST", path), receive, _nothing)
        return self.queue.visits[-1]

    async def read(self, path: str, query: str = "") -> None:
        async def receive() -> Any:
            await self.left.wait()
            return {"type": "http.disconnect"}

        async def send(_: Any) -> None:
            if self.blocked:
                await asyncio.sleep(60)

        await self.gate(_scope("GET", path, query), receive, send)


def _scope(method: str, path: str, query: str = "") -> dict[str, Any]:
    about = {"type": "http", "method": method, "path": AT + path, "client": ("9.9.9.9", 1)}
    return {**about, "headers": [], "query_string": query.encode()}


async def _nothing(_: Any) -> None:
    """Send nothing."""


WAYS = {
    "a session": ("/queue/join", {"session_hash": "s"}, "/queue/data", "session_hash=s"),
    "a request": ("/call/scores", {}, "/call/scores/event", ""),
    "a request of version 2": ("/call/v2/scores", {}, "/call/v2/scores/event", ""),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("how", ["leaves", "stays", "is blocked"])
def test_who_reads_the_answer(way: str, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads is heard; the answer of whoever hangs up or stops reading ends."""
    monkeypatch.setattr("stir_hf.space.guards.gate.UNREAD_SECONDS", 0.01)
    joins, body, reads, query = WAYS[way]

    async def visit() -> Visit:
        page = Page()
        found = await page.join(joins, **body)
        before = found.heard.is_set()
        assert page.visits.count("9.9.9.9") == 1
        page.blocked = how == "is blocked"
        reading = asyncio.ensure_future(page.read(reads, query))
        await asyncio.sleep(0)
        assert (before, found.heard.is_set()) == (False, True)
        {"leaves": page.left, "stays": page.queue.answers}.get(how, asyncio.Event()).set()
        await asyncio.wait_for(reading, 5)
        return found

    assert asyncio.run(visit()).is_heard()


def test_whoever_never_reads_is_not_heard() -> None:
    visit = asyncio.run(Page().join(session_hash="s"))
    visit.seen -= UNHEARD + 1
    assert not visit.is_heard()


def test_whoever_reads_already_is_heard() -> None:
    async def visit() -> Visit:
        page = Page()
        page.visits.open("s")
        return await page.join(session_hash="s")

    found = asyncio.run(visit())
    found.seen -= 10 * UNHEARD
    assert found.is_heard()


def test_one_of_two_readers_may_leave() -> None:
    visits = Visits()
    visits.open("s")
    visits.open("s")
    visits.close("s")
    one, other = Visit(session="s"), Visit(session="s")
    visits.enter(one)
    visits.close("s")
    visits.enter(other)
    assert (one.heard.is_set(), other.heard.is_set()) == (True, False)


def test_a_request_that_gradio_never_hands_on_counts_for_a_while() -> None:
    """As one with too few inputs: no handler is called, which would end the visit."""
    visits, visit = Visits(), Visit("9.9.9.9", asked=b'"a1b2"')
    visits.enter(visit)
    assert (visits.count("9.9.9.9"), visits.count()) == (1, 1)
    visit.seen -= UNBEGUN + 1
    assert (visits.count("9.9.9.9"), visits.count()) == (0, 0)
    other = Visit("8.8.8.8")
    visits.enter(other)  # which forgets what was sent
    assert not visits.names(Path("/tmp/gradio/a1b2/x.png"), but=other)


def test_what_is_cancelled_ends() -> None:
    async def visits() -> tuple[Visit, Visit]:
        page = Page()
        one = await page.join(session_hash="s")
        one.event = "first"
        other = await page.join(session_hash="s")
        await page.gate(_scope("POST", "/cancel"), _body(event_id="first"), _nothing)
        return one, other

    one, other = asyncio.run(visits())
    one.see()
    assert (one.is_seen(), other.is_seen()) == (False, True)


@pytest.mark.parametrize("how", ["closed", "dropped"])
def test_a_request_that_nobody_asks_for_ends(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()

    def endless(*_: Any) -> Iterator[Any]:
        try:
            while not ended.wait(0.05):
                yield {}
        finally:
            ended.set()

    monkeypatch.setattr("stir_hf.space.following.run", endless)
    visit: Any = Visit(begun=True)
    visit.heard.set()
    answer: Any = follow(cast("Any", None), None, LIMITS, visit)
    next(answer)
    if how == "closed":
        answer.close()
    else:
        visit.seen -= UNSEEN + 1
    assert ended.wait(10)


def test_a_long_step_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the machine is busy: whoever waits for a message is there."""
    monkeypatch.setattr("stir_hf.space.guards.visits.UNSEEN", 1.5)

    def slow(*_: Any) -> Iterator[Any]:
        time.sleep(2)
        yield {}
        time.sleep(2)
        yield {"done": {}}

    monkeypatch.setattr("stir_hf.space.following.run", slow)
    visit = Visit(begun=True)
    visit.heard.set()
    assert list(follow(cast("Any", None), None, LIMITS, visit)) == [{}, {"done": {}}]


@pytest.mark.parametrize("error", [RequestError("it is wrong"), RunError("it failed")])
def test_an_error_of_the_work_is_that_of_the_request(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> Iterator[Any]:
        yield {"step": 1}
        raise error

    monkeypatch.setattr("stir_hf.space.following.run", fails)
    visit = Visit(begun=True)
    visit.heard.set()
    answer = follow(cast("Any", None), None, LIMITS, visit)
    assert next(answer) == {"step": 1}
    with pytest.raises(type(error), match=str(error)):
        next(answer)


def _body(**given: Any) -> Any:
    async def receive() -> Any:
        return {"type": "http.request", "body": json.dumps(given).encode()}

    return receive


def test_what_gradio_refuses_is_not_counted() -> None:
    async def visit() -> int:
        page = Page()
        page.queue.status = 503
        await page.join(session_hash="s")
        return page.visits.count("9.9.9.9")

    assert asyncio.run(visit()) == 0


def test_all_requests_of_an_address_count() -> None:
    visits = Visits()
    entered = [Visit(address) for address in ("9.9.9.9", "9.9.9.9", "8.8.8.8")]
    for visit in entered:
        visits.enter(visit)
    assert [visits.count(address) for address in ("9.9.9.9", "8.8.8.8", "1.1.1.1")] == [2, 1, 0]
    visits.end(entered[0])
    assert visits.count("9.9.9.9") == 1


@pytest.mark.parametrize("name", ["x.png", "Screenshot 3.04\u202fPM.png"])
def test_an_upload_that_is_named(name: str) -> None:
    path = Path("/tmp/gradio/a1b2") / name
    visits, own = Visits(), Visit()
    naming = Visit(asked=json.dumps({"data": [[{"path": str(path)}]]}).encode())
    for visit in (own, naming):
        visits.enter(visit)
    assert visits.names(path, but=own)
    assert not visits.names(path, but=naming)
    assert not visits.names(Path("/tmp/gradio/c3d4") / name, but=own)


def test_a_call_of_the_tool_is_known() -> None:
    async def visit(headers: Any) -> Visit:
        page = Page()
        scope = {**_scope("POST", "/queue/join"), "headers": headers}
        await page.gate(scope, _body(session_hash="s"), _nothing)
        return page.queue.visits[-1]

    assert asyncio.run(visit([(b"x-gradio-user", b"mcp")])).is_of_a_tool
    assert not asyncio.run(visit([(b"x-gradio-user", b"api")])).is_of_a_tool


def test_nobody_is_always_heard() -> None:
    request: Any = types.SimpleNamespace(state=types.SimpleNamespace())
    for given in (None, request):
        with visiting(given) as visit:
            assert (visit.is_heard(), visit.is_of_a_tool) == (True, False)
