"""What is turned away before gradio sees it, and who counts as a visitor."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from stir_hf.space.guards.gate import ASKED, MOST, Gate, names_address, visitor
from stir_hf.space.guards.visits import Visit, Visits

AT = "/gradio_api"


class Page:
    """What stands behind the gate: it notes what comes through."""

    def __init__(self, lasts: float = 0) -> None:
        self.bodies, self._lasts = list[bytes](), lasts

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(self._lasts)
        self.bodies.append((await receive())["body"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b'{"event_id": "e"}'})


@pytest.fixture(autouse=True)
def uploads_are_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))


def gate(
    page: Any, waiting: int = 0, of: str = "9.9.9.9", inputs: dict[Any, int] | None = None
) -> Gate:
    visits = Visits()
    for _ in range(waiting):
        visits.enter(Visit(of))
    return Gate(page, visits, inputs or {})


async def status(door: Gate, path: str, *parts: bytes, **how: Any) -> int:
    code, _ = await answer(door, path, *parts, **how)
    return code


async def answer(
    door: Gate, path: str, *parts: bytes | None, method: str = "POST", length: int | None = None
) -> tuple[int, str]:
    """The status of an answer and its sentence; a part that is None never comes."""
    found: list[Any] = []
    given = [
        {"type": "http.request", "body": part, "more_body": i + 1 < len(parts)}
        for i, part in enumerate(parts or (b"{}",))
    ]

    async def receive() -> Any:
        message = given.pop(0)
        if message["body"] is None:
            await asyncio.sleep(60)
        return message

    async def send(message: Any) -> None:
        found.append(message)

    headers = [] if length is None else [(b"content-length", str(length).encode())]
    scope = {"type": "http", "method": method, "path": path, "headers": headers}
    await door({**scope, "query_string": b"", "client": ("9.9.9.9", 1)}, receive, send)
    told = json.loads(found[1]["body"] or b"{}") if len(found) > 1 else {}
    return found[0]["status"], told.get("detail", "")


JOINS = (
    "/queue/join",
    "/queue/join/",
    "/call/scores",
    "/call/scores/",
    "/call/v2/scores",
    "/call/x",
)


@pytest.mark.parametrize("path", JOINS)
def test_what_joins_the_queue_is_counted(path: str) -> None:
    assert asyncio.run(status(gate(Page(), waiting=2), AT + path)) == 200
    assert asyncio.run(status(gate(Page(), waiting=3), AT + path)) == 429


def test_requests_that_come_at_once_are_counted() -> None:
    async def burst() -> list[int]:
        door = gate(Page(lasts=0.1))
        return list(await asyncio.gather(*(status(door, f"{AT}/queue/join") for _ in range(5))))

    assert sorted(asyncio.run(burst())) == [200, 200, 200, 429, 429]


@pytest.mark.parametrize("path", ["/run/_cancelled", "/cancel", "/reset", "/mcp/", "/mcp/x/y"])
def test_what_the_page_needs_goes_through(path: str) -> None:
    page = Page()
    assert asyncio.run(status(gate(page, waiting=9), AT + path, b'{"a"', b": 1}")) == 200
    assert page.bodies == [b'{"a": 1}']


SHUT = {
    "POST": ("/component_server", "/process_recording", "/vibe-edit", "/stream/x", "/predict"),
    "GET": ("/deep_link", "/dev/reload", "/monitoring", "/monitoring/summary"),
    "HEAD": ("/deep_link",),
}


@pytest.mark.parametrize(("method", "path"), [(m, p) for m in SHUT for p in SHUT[m]])
def test_the_rest_is_not_there(method: str, path: str) -> None:
    page = Page()
    assert asyncio.run(status(gate(page), AT + path, method=method)) == 404
    assert page.bodies == []


LONG = ("/queue/join", "/run/upload", "/call/upload", "/call/v2/upload/", "/mcp/messages/upload")


@pytest.mark.parametrize("path", LONG)
def test_a_long_request_is_not_read_to_its_end(path: str) -> None:
    parts = [b" " * (ASKED // 2)] * 10
    page = Page()
    assert asyncio.run(status(gate(page), AT + path, *parts, length=ASKED * 5)) == 413
    assert page.bodies == []


@pytest.mark.parametrize(
    "asked",
    [
        b'{"method": "prompts/get", "params": {"name": "scores"}}',
        b'{"method": "prompts\\/get"}',
        b'[{"method": "tools/list"}, {"method": "prompts/get"}]',
    ],
)
def test_a_prompt_of_the_tool_is_not_there(asked: bytes) -> None:
    assert asyncio.run(status(gate(Page()), f"{AT}/mcp/", asked)) == 400
    assert asyncio.run(status(gate(Page()), f"{AT}/run/x", asked)) == 200
    assert asyncio.run(status(gate(Page()), f"{AT}/mcp/", b'{"method": "tools/call"}')) == 200


OPEN = (
    "/file=/tmp/gradio/a1/runs.png",
    "/file=/dev/shm/gradio/a1/vibes.jpg",
    "/file=/tmp/gradio/a1/stream/x.png",
    "/queue/data",
    "/heartbeat/devices",
    "/call/scores/a1",
    "/startup-events",
    "/mcp/schema",
    "/upload_progress",
)


@pytest.mark.parametrize("path", [*(AT + path for path in OPEN), "/", "/config", "/login/callback"])
def test_what_the_page_reads_goes_through(path: str) -> None:
    assert asyncio.run(status(gate(Page()), path, b"", method="GET")) == 200


def test_uploads_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    async def at_once() -> list[int]:
        door = gate(Page(lasts=0.1))
        asked = (status(door, f"{AT}/upload", length=10) for _ in range(4))
        return list(await asyncio.gather(*asked))

    assert asyncio.run(status(gate(Page()), f"{AT}/upload", length=10)) == 200
    assert asyncio.run(status(gate(Page()), f"{AT}/upload", length=10**9)) == 413
    assert asyncio.run(status(gate(Page()), f"{AT}/upload")) == 413  # of an unknown length
    assert sorted(asyncio.run(at_once())) == [200, 200, 429, 429]
    monkeypatch.setattr("stir_hf.space.uploads.size", lambda: 10**9)
    assert asyncio.run(status(gate(Page()), f"{AT}/upload/", length=10)) == 429


def test_one_visitor_does_not_take_all_the_room_for_uploads() -> None:
    door, path, length = gate(Page()), f"{AT}/upload", 60_000_000
    assert [asyncio.run(status(door, path, length=length)) for _ in range(3)] == [200, 200, 429]


def test_an_upload_that_takes_too_long_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stir_hf.space.guards.gate.UPLOAD_SECONDS", 0.01)
    assert asyncio.run(status(gate(Page(lasts=5)), f"{AT}/upload", length=10)) == 408


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({"data": ["a", {"path": "/tmp/gradio/x/0.png", "url": "http://127.0.0.1/x"}]}, False),
        ({"data": [{"path": None}]}, False),
        ({"data": [{"path": "https://example.com/x"}]}, True),
        ({"data": [[{"deep": {"path": "hf://datasets/x/y"}}]]}, True),
        ({"data": [{"path": ["https://example.com/x"]}]}, True),
        ({"data": [{"path": "/tmp/gradio/\0"}]}, True),
        ({"data": [{"path": {"x": 1}}]}, True),
    ],
)
def test_a_file_by_its_address(body: Any, found: bool) -> None:
    assert names_address(body) is found
    code = asyncio.run(status(gate(Page()), f"{AT}/run/x", json.dumps(body).encode()))
    assert code == (400 if found else 200)


@pytest.mark.parametrize("body", [b"no JSON", b"[" * 100_000, b"\xff\xfe"])
def test_what_cannot_be_read_does_not_pass(body: bytes) -> None:
    page = Page()
    assert asyncio.run(answer(gate(page), f"{AT}/queue/join", body)) == (
        400,
        "the request is no JSON that can be read",
    )
    assert page.bodies == []


def test_a_request_that_is_half_sent_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stir_hf.space.guards.gate.UNSENT_SECONDS", 0.01)
    page = Page()
    told = asyncio.run(answer(gate(page), f"{AT}/queue/join", b'{"data"', None))
    assert told == (408, "a request takes at most 0.01 seconds")
    assert page.bodies == []


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("/call/scores", {"data": [1, 2]}, "the request has 2 inputs; scores takes 6"),
        ("/call/scores/", {"data": "x"}, "the request has no inputs; scores takes 6"),
        ("/call/scores", {}, "the request has no inputs; scores takes 6"),
        ("/queue/join", {"fn_index": 3, "data": [1]}, "the request has 1 inputs; 3 takes 2"),
        ("/queue/join", {"fn_index": 3, "data": [1, 2]}, ""),
        ("/call/scores", {"data": [0] * 6}, ""),
        ("/call/v2/scores", {"model": "x"}, ""),
        ("/queue/join", {"fn_index": [3], "data": []}, ""),
        ("/queue/join", [], ""),
    ],
)
def test_a_wrong_number_of_inputs(path: str, body: Any, told: str) -> None:
    """Gradio would not hand it on, nor say why."""
    door = gate(Page(), inputs={"scores": 6, 3: 2})
    found = asyncio.run(answer(door, AT + path, json.dumps(body).encode()))
    assert found == ((400, told) if told else (200, ""))


def test_a_full_queue_says_so() -> None:
    door = gate(Page(), waiting=MOST, of="8.8.8.8")
    told = asyncio.run(answer(door, f"{AT}/queue/join", b"{}"))
    assert told == (503, "the queue is full: 20 requests wait; try again in a few minutes")


@pytest.mark.parametrize(
    ("forwarded", "expected"),
    [
        ("203.0.113.9, 8.8.8.8", "8.8.8.8"),
        ("1.1.1.1, 8.8.8.8, 10.16.3.80", "8.8.8.8"),
        ("2606:4700:1:2:3:4:5:6", "2606:4700:1:2::/64"),
        ("nonsense, 10.0.0.1", "9.9.9.9"),
        ("", "9.9.9.9"),
    ],
)
def test_a_visitor_of_a_space(
    forwarded: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scope = {
        "headers": [(b"x-forwarded-for", forwarded.encode())],
        "client": ("9.9.9.9", 1),
    }
    assert visitor(scope) == "9.9.9.9"  # anywhere else the header is anybody's word
    monkeypatch.setenv("SPACE_ID", "lab/page")
    assert visitor(scope) == expected
