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
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from starlette.datastructures import Headers, QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stir_hf.space import uploads
from stir_hf.space.guards.visits import Visit, Visits

WAITING = 3
"""Requests of one visitor that may wait or be at work."""
MOST = 21
"""Requests of all visitors that may: one is at work."""
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
UNSENT_SECONDS = 20
"""Time limit for sending a request that is no upload."""
UNREAD_SECONDS = 60
"""Time limit for reading a part of an answer."""

TAKEN = re.compile(r".*/(upload|queue/join|call/(v2/)?\w+|run/\w+|cancel|reset|mcp(/.*)?)/*")
"""POST requests of the page, its endpoint and its tool."""
JOINS = re.compile(r".*/(queue/join|call/(v2/)?\w+)/*")
"""POST requests that join the queue."""
CANCEL = re.compile(r".*/cancel/*")
"""POST requests that cancel one."""
ANSWERS = re.compile(r".*/call/(?:v2/)?\w+/(\w+)/*")
"""GET requests that read the answer to one request, beside `queue/data` for a session."""
UPLOAD = re.compile(r"(?!.*/(run|call|mcp)/).*/upload/*")
"""POST requests that bring files."""
SHUT = re.compile(r"(/gradio_api)?/(deep_link|monitoring|dev)(/.*)?")
"""Places that write what is shown to disk, or are for developers. Gradio itself closes others."""


class Gate:
    """ASGI middleware around gradio's application, which notes the requests that wait."""

    def __init__(self, app: ASGIApp, visits: Visits, inputs: Mapping[Any, int]) -> None:
        """Stand before an application; `inputs` are numbers of inputs, by function."""
        self._app, self._visits, self._inputs = app, visits, inputs
        self._uploading = list[tuple[str, int]]()
        self._sent = deque[tuple[float, str, int]]()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with a sentence."""
        try:
            await self._way(scope)(scope, receive, send)
        except ClientDisconnect:
            pass  # in the middle of a request, which nobody waits for any more
        except HTTPException as error:
            answer = JSONResponse({"detail": error.detail}, error.status_code)
            await answer(scope, receive, send)

    def _way(self, scope: Scope) -> ASGIApp:
        """Return what a request goes through on its way to gradio's application."""
        if scope["type"] != "http":
            return self._app
        path, is_sent = scope["path"], scope["method"] == "POST"
        if SHUT.fullmatch(path) or (is_sent and not TAKEN.fullmatch(path)):
            raise HTTPException(404, "not found")
        if not is_sent:
            return self._read if _key(scope) else self._app
        return self._upload if UPLOAD.fullmatch(path) else self._ask

    async def _ask(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, body = scope["path"], await _body(Request(scope, receive))
        said = _parsed(body)
        if names_address(said):
            raise HTTPException(400, "images are uploaded, not fetched from an address")
        if "/mcp" in path and asks_for_prompt(said):  # it would compute without being counted
            raise HTTPException(400, "there are no prompts here, only a tool")
        if CANCEL.fullmatch(path):
            self._visits.cancel(_text(body, "event_id"))
        if JOINS.fullmatch(path):
            self._check_inputs(path, said)
            await self._join(body, scope, _again(body, receive), send)
        else:
            await self._app(scope, _again(body, receive), send)

    def _check_inputs(self, path: str, said: Any) -> None:
        """Refuse a request that gradio would not hand on, and answer with an empty error."""
        asked = said if isinstance(said, dict) else {}
        name = asked.get("fn_index") if "queue/join" in path else path.rstrip("/").split("/")[-1]
        expected = self._inputs.get(name) if isinstance(name, int | str) else None
        given, is_v2 = asked.get("data"), "/call/v2/" in path  # which has them by name
        if expected is None or is_v2:
            return
        if not isinstance(given, list) or len(given) != expected:
            there = len(given) if isinstance(given, list) else "no"
            raise HTTPException(400, f"the request has {there} inputs; {name} takes {expected}")

    async def _join(self, body: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        """Count a request until it ends, or until gradio refuses it."""
        session, by = _text(body, "session_hash"), Headers(scope=scope).get("x-gradio-user")
        visit = Visit(visitor(scope), body, is_of_a_tool=by == "mcp", session=session)
        if self._visits.count(visit.address) >= WAITING:
            told = f"the queue holds {WAITING} requests of yours already; wait for one to end"
            raise HTTPException(429, told)
        if self._visits.count() >= MOST:
            told = f"the queue is full: {MOST - 1} requests wait; try again in a few minutes"
            raise HTTPException(503, told)

        async def noted(message: Message) -> None:
            visit.event = visit.event or _text(message.get("body", b""), "event_id")
            await send(message)

        self._visits.enter(visit)
        scope.setdefault("state", {})["visit"] = visit
        try:
            await self._app(scope, receive, noted)
        finally:
            if not visit.event:
                self._visits.end(visit)

    async def _read(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass an answer on, and note that somebody reads it."""
        key = _key(scope)

        async def in_time(message: Message) -> None:
            async with asyncio.timeout(UNREAD_SECONDS):
                await send(message)

        self._visits.open(key)
        try:
            with suppress(TimeoutError):
                await self._app(scope, receive, in_time)
        finally:
            self._visits.close(key)

    async def _upload(self, scope: Scope, receive: Receive, send: Send) -> None:
        address, given = visitor(scope), Headers(scope=scope).get("content-length", "")
        length = int(given) if given.isdecimal() else BODY + 1  # one that does not say is refused
        while self._sent and self._sent[0][0] < time.monotonic() - uploads.KEPT_SECONDS:
            self._sent.popleft()
        if length > BODY:
            raise HTTPException(413, f"an upload has at most {BODY // 1_000_000} MB")
        if sum(one == address for one, _ in self._uploading) >= UPLOADING:
            raise HTTPException(429, f"at most {UPLOADING} uploads at once are taken")
        if sum(sent for _, one, sent in self._sent if one == address) + length > OF_ONE:
            raise HTTPException(429, "you uploaded much in the last hours; try again later")
        self._uploading.append((address, length))
        try:
            announced = sum(length for _, length in self._uploading)
            if await asyncio.to_thread(uploads.size) + announced > UPLOADS:
                raise HTTPException(429, "too much was uploaded in the last hours; try again later")
            self._sent.append((time.monotonic(), address, length))
            async with asyncio.timeout(UPLOAD_SECONDS):
                await self._app(scope, receive, send)
        except TimeoutError as error:
            told = f"an upload takes at most {UPLOAD_SECONDS} seconds"
            raise HTTPException(408, told) from error
        finally:
            self._uploading.remove((address, length))
            if not self._uploading:  # and none begins while this runs
                uploads.remove_partial()


def visitor(scope: Scope) -> str:
    """Return the address of a visitor. In a Space it is the last public one that the Hub's proxy
    names, which nobody can forge. Of an IPv6 address it is the first half, as one visitor has many.
    """
    named = Headers(scope=scope).get("x-forwarded-for", "").split(",")
    for given in reversed(named) if "SPACE_ID" in os.environ else ():
        with suppress(ValueError):
            address = ipaddress.ip_address(given.strip())
            if address.is_global:
                half = isinstance(address, ipaddress.IPv6Address)
                return str(ipaddress.ip_network((address, 64), strict=False) if half else address)
    return str((scope.get("client") or ("",))[0])


def _key(scope: Scope) -> str:
    """Return the session or request whose answers are asked for; "" if none are."""
    if found := ANSWERS.fullmatch(scope["path"]):
        return found[1]
    is_stream = scope["path"].rstrip("/").endswith("/queue/data")
    return QueryParams(scope["query_string"]).get("session_hash", "") if is_stream else ""


def names_address(said: Any) -> bool:
    """Return True if a request has a file by its address: gradio fetches it."""
    left = [said]
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


def asks_for_prompt(said: Any) -> bool:
    """Return True if a message to the tool's server asks for a prompt."""
    several = said if isinstance(said, list) else [said]
    return any(isinstance(one, dict) and one.get("method") == "prompts/get" for one in several)


def _parsed(body: bytes) -> Any:
    """Return what a request says."""
    try:
        return json.loads(body or b"null")
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, "the request is no JSON that can be read") from error


def _text(body: bytes, name: str) -> str:
    """Return a text in a JSON object; "" if there is none."""
    with suppress(ValueError, AttributeError):
        found = json.loads(body).get(name)
        return found if isinstance(found, str) else ""
    return ""


async def _body(request: Request) -> bytes:
    """Return the body of a request, unless it is too long, or takes too long to come."""
    body = b""
    try:
        async with asyncio.timeout(UNSENT_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > ASKED:
                    raise HTTPException(413, f"a request has at most {ASKED // 1000} kB")
    except TimeoutError as error:
        raise HTTPException(408, f"a request takes at most {UNSENT_SECONDS} seconds") from error
    return body


def _again(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives a body that was read once more."""
    given = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return given.pop() if given else await receive()

    return again
