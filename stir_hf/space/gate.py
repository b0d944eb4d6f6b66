"""What is turned away before gradio sees it: too many requests of one visitor, too much data, and
what the page does not need.
"""

import asyncio
import ipaddress
import json
import os
import re
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

from stir_hf.space.uploads import SECONDS

WAITING = 3
"""Requests of one visitor that may be at work or wait."""
ASKED = 200_000
"""Bytes of one request that is no upload."""
BODY = 100_000_000
"""Bytes of one upload of several files."""
UPLOADS = 500_000_000
"""Bytes of all uploads that are there."""
UPLOAD_SECONDS = 300
"""So long one upload may take."""
OF_ONE = 150_000_000
"""Bytes that one visitor may upload in the time that uploads stay."""
UPLOADING = 2
"""Uploads of one visitor at once."""

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]

TAKEN = re.compile(r".*/(upload|queue/join|call/(v2/)?\w+|run/\w+|cancel|reset|mcp(/.*)?)/*")
"""What the page, its endpoint and its tool are sent."""
COUNTED = re.compile(r".*/(queue/join|call/(v2/)?\w+)/*")
"""What joins the queue."""
UPLOAD = re.compile(r"(?!.*/(run|call|mcp)/).*/upload/*")
"""What is sent files."""
SHUT = re.compile(
    r".*/(deep_link|stream|custom_component|monitoring|run-history|runs|profiling|vibe[\w-]*|dev)"
    r"(/.*)?|.*/(proxy=|file[=/]\W*https?:).*",
    re.IGNORECASE,
)
"""What fetches addresses, writes what is shown to disk, or is a developer's."""
A_FILE = re.compile(r"(/[^=]*)?/file=/.*")
"""A file of this machine, whatever its name; gradio knows which are anybody's."""


class Gate:
    """ASGI middleware around gradio's application.

    Args:
        app: gradio's.
        count: how many requests of a visitor's address are at work or wait.
        size: bytes of all uploads that are there.
    """

    def __init__(self, app: App, count: Callable[[str], int], size: Callable[[], int]) -> None:
        self._app, self._count, self._size = app, count, size
        self._inside, self._uploading = Counter[str](), Counter[str]()
        self._announced, self._sent = 0, deque[tuple[float, str, int]]()

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Pass a request on, or answer it with a sentence."""
        path, method = str(scope.get("path", "")), scope.get("method")
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif _is_shut(path) or (method == "POST" and not TAKEN.fullmatch(path)):
            await _answer(send, 404, "there is no such place here")
        elif method != "POST":
            await self._app(scope, receive, send)
        elif UPLOAD.fullmatch(path):
            await self._upload(scope, receive, send)
        elif (body := await _body(receive)) is None:
            await _answer(send, 413, f"a request has at most {ASKED // 1000} kB")
        elif names_address(body):
            await _answer(send, 400, "images are uploaded, not fetched from an address")
        elif "/mcp" in path and asks_for_prompt(body):  # which would compute, not counted
            await _answer(send, 400, "there are no prompts here, but a tool")
        else:
            await self._ask(scope, _again(body, receive), send)

    async def _ask(self, scope: Scope, receive: Any, send: Any) -> None:
        address = visitor(scope)
        if not COUNTED.fullmatch(scope["path"]):
            await self._app(scope, receive, send)
        elif self._count(address) + self._inside[address] >= WAITING:
            told = f"the queue holds {WAITING} requests of yours already; wait for one to end"
            await _answer(send, 429, told)
        else:
            with _counted(self._inside, address):
                await self._app(scope, receive, send)

    async def _upload(self, scope: Scope, receive: Any, send: Any) -> None:
        length, address = _length(scope), visitor(scope)
        if length > BODY:
            await _answer(send, 413, f"an upload has at most {BODY // 1_000_000} MB")
        elif self._uploading[address] >= UPLOADING:
            await _answer(send, 429, f"at most {UPLOADING} uploads at once are taken")
        elif self._sent_by(address) + length > OF_ONE:
            await _answer(send, 429, "you uploaded much in the last minutes; try again later")
        else:
            with _counted(self._uploading, address), self._announcing(length):
                if await asyncio.to_thread(self._size) + self._announced > UPLOADS:
                    told = "too much was uploaded in the last minutes; try again later"
                    await _answer(send, 429, told)
                else:
                    self._sent.append((time.monotonic(), address, length))
                    await self._in_time(scope, receive, send)

    def _sent_by(self, address: str) -> int:
        """Bytes that a visitor has sent in the time that uploads stay."""
        while self._sent and self._sent[0][0] < time.monotonic() - SECONDS:
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

    @contextmanager
    def _announcing(self, length: int) -> Iterator[None]:
        self._announced += length
        try:
            yield
        finally:
            self._announced -= length


@contextmanager
def _counted(counter: Counter[str], address: str) -> Iterator[None]:
    counter[address] += 1
    try:
        yield
    finally:
        counter[address] -= 1
        if not counter[address]:
            del counter[address]


def visitor(scope: Scope) -> str:
    """Who asks, by address. In a Space it is the last public one that the Hub's proxy names, which
    nobody can forge; the first half of one of IPv6, of which a visitor has many.
    """
    headers = {name.lower(): value for name, value in scope.get("headers", ())}
    named = headers.get(b"x-forwarded-for", b"").decode("latin-1").split(",")
    if "SPACE_ID" in os.environ:
        for given in reversed(named):
            try:
                address = ipaddress.ip_address(given.strip())
            except ValueError:
                continue
            if address.is_global:
                half = isinstance(address, ipaddress.IPv6Address)
                return str(ipaddress.ip_network((address, 64), strict=False) if half else address)
    return str((scope.get("client") or ("",))[0])


def _is_shut(path: str) -> bool:
    return SHUT.fullmatch(path) is not None and A_FILE.fullmatch(path) is None


def names_address(body: bytes) -> bool:
    """Whether a request names a file by an address, which gradio would fetch; so does one that
    cannot be read.
    """
    try:
        left = [_read(body)]
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
    """Whether a message to the tool's server is that; one that can be read."""
    said = _read(body)
    several = said if isinstance(said, list) else [said]
    return any(isinstance(one, dict) and one.get("method") == "prompts/get" for one in several)


def _read(body: bytes) -> Any:
    return json.loads(body) if body else None


def _length(scope: Scope) -> int:
    for name, value in scope.get("headers", ()):
        if name.lower() == b"content-length" and value.isdigit():
            return int(value)
    return BODY + 1  # one that does not say


async def _body(receive: Any) -> bytes | None:
    """All of a request; None where it is too long."""
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
    """What gives a body that was read once more."""
    given = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Any:
        return given.pop() if given else await receive()

    return again


async def _answer(send: Any, status: int, told: str) -> None:
    body = json.dumps({"detail": told}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
