"""Requests that are refused before gradio sees them: too many of one visitor, too much data, and
everything that the page does not need.
"""

import asyncio
import ipaddress
import json
import os
import re
import time
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs

from stir_hf.space import uploads
from stir_hf.space.visits import Visit, Visits

WAITING = 3
"""Requests of one visitor that may wait or be at work."""
ASKED = 200_000
"""Bytes of one request that is no upload."""
BODY = 100_000_000
"""Bytes of one upload of several files."""
UPLOADS = 500_000_000
"""Bytes of all uploads on the disk."""
OF_ONE = 150_000_000
"""Bytes that one visitor may upload in the time that uploads are kept."""
UPLOADING = 2
"""Uploads of one visitor at once."""
UPLOAD_SECONDS = 300
"""Time limit of one upload."""
UNREAD_SECONDS = 60
"""Time limit for reading a part of an answer."""

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]

TAKEN = re.compile(r".*/(upload|queue/join|call/(v2/)?\w+|run/\w+|cancel|reset|mcp(/.*)?)/*")
"""POST requests of the page, its endpoint and its tool."""
JOINS = re.compile(r".*/(queue/join|call/(v2/)?\w+)/*")
"""POST requests that join the queue."""
ANSWERS = re.compile(r".*/call/(?:v2/)?\w+/(\w+)/*")
"""GET requests that read the answer to one request, beside `queue/data` for a session."""
UPLOAD = re.compile(r"(?!.*/(run|call|mcp)/).*/upload/*")
"""POST requests that bring files."""
SHUT = re.compile(
    r".*/(deep_link|stream|custom_component|monitoring|run-history|runs|profiling|vibe[\w-]*|dev)"
    r"(/.*)?|.*/(proxy=|file[=/]\W*https?:).*",
    re.IGNORECASE,
)
"""Places that fetch addresses, write what is shown to disk, or are for developers."""
A_FILE = re.compile(r"(/[^=]*)?/file=/.*")
"""A file of this machine, whatever its name; gradio knows which ones may be read."""


class Gate:
    """ASGI middleware around gradio's application.

    Args:
        app: gradio's.
        visits: the requests that wait or are at work.
    """

    def __init__(self, app: App, visits: Visits) -> None:
        self._app, self._visits = app, visits
        self._uploading = list[tuple[str, int]]()
        self._sent = deque[tuple[float, str, int]]()

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Pass a request on, or answer it with a sentence."""
        path, method = str(scope.get("path", "")), scope.get("method")
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif _is_shut(path) or (method == "POST" and not TAKEN.fullmatch(path)):
            await _answer(send, 404, "not found")
        elif method != "POST":
            await self._read(scope, receive, send)
        elif UPLOAD.fullmatch(path):
            await self._upload(scope, receive, send)
        elif (body := await _body(receive)) is None:
            await _answer(send, 413, f"a request has at most {ASKED // 1000} kB")
        elif names_address(body):
            await _answer(send, 400, "images are uploaded, not fetched from an address")
        elif "/mcp" in path and asks_for_prompt(body):  # it would compute without being counted
            await _answer(send, 400, "there are no prompts here, only a tool")
        elif JOINS.fullmatch(path):
            await self._join(scope, body, _again(body, receive), send)
        else:
            if path.rstrip("/").endswith("/cancel"):
                self._visits.cancel(_text(body, "event_id"))
            await self._app(scope, _again(body, receive), send)

    async def _join(self, scope: Scope, body: bytes, receive: Any, send: Any) -> None:
        """Count a request until it ends, or until gradio refuses it."""
        headers = {name.lower(): value for name, value in scope.get("headers", ())}
        is_of_a_tool = headers.get(b"x-gradio-user") == b"mcp"
        session = _text(body, "session_hash")
        visit = Visit(visitor(scope), body, is_of_a_tool=is_of_a_tool, session=session)

        async def noted(message: Any) -> None:
            visit.event = visit.event or _text(message.get("body", b""), "event_id")
            await send(message)

        if self._visits.count(visit.address) >= WAITING:
            told = f"the queue holds {WAITING} requests of yours already; wait for one to end"
            await _answer(send, 429, told)
            return
        self._visits.enter(visit)
        scope.setdefault("state", {})["visit"] = visit
        try:
            await self._app(scope, receive, noted)
        finally:
            if not visit.event:
                self._visits.end(visit)

    async def _read(self, scope: Scope, receive: Any, send: Any) -> None:
        """Pass an answer on, and note when nobody reads it any more."""
        key, complete, left = _key(scope), False, False

        async def heard() -> Any:
            nonlocal left
            message = await receive()
            left = left or (message["type"] == "http.disconnect" and not complete)
            return message

        async def noted(message: Any) -> None:
            nonlocal complete
            async with asyncio.timeout(UNREAD_SECONDS):
                await send(message)
            complete = message["type"] == "http.response.body" and not message.get("more_body")

        if not key:
            await self._app(scope, receive, send)
            return
        self._visits.open(key)
        try:
            with suppress(TimeoutError):
                await self._app(scope, heard, noted)
        finally:
            self._visits.close(key, left=left or not complete)

    async def _upload(self, scope: Scope, receive: Any, send: Any) -> None:
        length, address = _length(scope), visitor(scope)
        if length > BODY:
            await _answer(send, 413, f"an upload has at most {BODY // 1_000_000} MB")
        elif sum(one == address for one, _ in self._uploading) >= UPLOADING:
            await _answer(send, 429, f"at most {UPLOADING} uploads at once are taken")
        elif self._sent_by(address) + length > OF_ONE:
            await _answer(send, 429, "you uploaded much in the last hours; try again later")
        else:
            self._uploading.append((address, length))
            try:
                if await asyncio.to_thread(uploads.size) + self._announced() > UPLOADS:
                    told = "too much was uploaded in the last hours; try again later"
                    await _answer(send, 429, told)
                else:
                    self._sent.append((time.monotonic(), address, length))
                    await self._in_time(scope, receive, send)
            finally:
                self._uploading.remove((address, length))
                if not self._uploading:  # and none begins while this runs
                    uploads.remove_partial()

    def _announced(self) -> int:
        """Bytes of the uploads in progress."""
        return sum(length for _, length in self._uploading)

    def _sent_by(self, address: str) -> int:
        """Bytes that a visitor has sent in the time that uploads are kept."""
        while self._sent and self._sent[0][0] < time.monotonic() - uploads.KEPT_SECONDS:
            self._sent.popleft()
        return sum(length for _, one, length in self._sent if one == address)

    async def _in_time(self, scope: Scope, receive: Any, send: Any) -> None:
        begun = False

        async def noted(message: Any) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            async with asyncio.timeout(UPLOAD_SECONDS):
                await self._app(scope, receive, noted)
        except TimeoutError:
            if not begun:
                await _answer(send, 408, f"an upload takes at most {UPLOAD_SECONDS} seconds")


def visitor(scope: Scope) -> str:
    """Return the address of a visitor. In a Space it is the last public one that the Hub's proxy
    names, which nobody can forge. Of an IPv6 address it is the first half, as one visitor has many.
    """
    headers = {name.lower(): value for name, value in scope.get("headers", ())}
    named = headers.get(b"x-forwarded-for", b"").decode("latin-1").split(",")
    for given in reversed(named) if "SPACE_ID" in os.environ else ():
        with suppress(ValueError):
            address = ipaddress.ip_address(given.strip())
            if address.is_global:
                half = isinstance(address, ipaddress.IPv6Address)
                return str(ipaddress.ip_network((address, 64), strict=False) if half else address)
    return str((scope.get("client") or ("",))[0])


def _is_shut(path: str) -> bool:
    return SHUT.fullmatch(path) is not None and A_FILE.fullmatch(path) is None


def _key(scope: Scope) -> str:
    """Return the session or request whose answers are asked for; "" if none are."""
    path = str(scope.get("path", ""))
    if found := ANSWERS.fullmatch(path):
        return found[1]
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
    return query.get("session_hash", [""])[0] if path.rstrip("/").endswith("/queue/data") else ""


def names_address(body: bytes) -> bool:
    """Return True if a request names a file by an address, which gradio would fetch, or cannot be
    read.
    """
    try:
        left = [json.loads(body or b"null")]
    except (ValueError, RecursionError):
        return True
    while left:
        one = left.pop()
        if isinstance(one, dict):
            path = one.get("path", "")
            if not isinstance(path, str | None) or re.search(r"://|\0", path or ""):
                return True
            left += one.values()
        elif isinstance(one, list):
            left += one
    return False


def asks_for_prompt(body: bytes) -> bool:
    """Return True if a message to the tool's server asks for a prompt."""
    said = json.loads(body or b"null")
    several = said if isinstance(said, list) else [said]
    return any(isinstance(one, dict) and one.get("method") == "prompts/get" for one in several)


def _text(body: bytes, name: str) -> str:
    """Return a text in a JSON object; "" if there is none."""
    with suppress(ValueError, AttributeError):
        found = json.loads(body).get(name)
        return found if isinstance(found, str) else ""
    return ""


def _length(scope: Scope) -> int:
    for name, value in scope.get("headers", ()):
        if name.lower() == b"content-length" and value.isdigit():
            return int(value)
    return BODY + 1  # an upload that does not tell its length is refused


async def _body(receive: Any) -> bytes | None:
    """Return the body of a request; None if it is too long."""
    parts, length = list[bytes](), 0
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        length += len(parts[-1])
        if length > ASKED:
            return None
        if not message.get("more_body"):
            return b"".join(parts)


def _again(body: bytes, receive: Any) -> Any:
    """Return a `receive` that gives a body that was read once more."""
    given = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Any:
        return given.pop() if given else await receive()

    return again


async def _answer(send: Any, status: int, told: str) -> None:
    body = json.dumps({"detail": told}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
