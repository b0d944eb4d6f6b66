"""What is turned away before gradio sees it: too many requests of one visitor, too much data."""

from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

WAITING = 3
"""Requests of one visitor that may be at work or wait."""
BODY = 100_000_000
"""Bytes of one upload of several files."""
UPLOADS = 500_000_000
"""Bytes of all uploads that are there."""

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]


class Gate:
    """ASGI middleware around gradio's application.

    Args:
        app: gradio's.
        count: how many requests of a visitor's address are at work or wait.
        uploads: the folder where gradio puts what is uploaded.
    """

    def __init__(self, app: App, count: Callable[[str], int], uploads: Path) -> None:
        self._app, self._count, self._uploads = app, count, uploads

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Pass a request on, or answer it with a sentence."""
        if scope["type"] != "http" or scope["method"] != "POST":
            return await self._app(scope, receive, send)
        path, told = str(scope["path"]), None
        if (
            path.endswith(("/queue/join", "/call/scores"))
            and self._count(visitor(scope)) >= WAITING
        ):
            told = f"the queue holds {WAITING} requests of yours already; wait for one to end"
        elif path.endswith("/upload"):
            if _length(scope) > BODY:
                told = f"an upload has at most {BODY // 1_000_000} MB"
            elif _size(self._uploads) > UPLOADS:
                told = "too much was uploaded in the last minutes; try again later"
        if told is None:
            return await self._app(scope, receive, send)
        return await _answer(send, told)


def visitor(scope: Scope) -> str:
    """The address of who asks: behind a proxy the last one that it names."""
    headers = {name.lower(): value for name, value in scope.get("headers", ())}
    forwarded = headers.get(b"x-forwarded-for", b"").decode("latin-1").split(",")[-1].strip()
    return forwarded or str((scope.get("client") or ("",))[0])


def _length(scope: Scope) -> int:
    for name, value in scope.get("headers", ()):
        if name.lower() == b"content-length" and value.isdigit():
            return int(value)
    return BODY + 1  # one that does not say


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


async def _answer(send: Any, told: str) -> None:
    import json

    body = json.dumps({"detail": told}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 429, "headers": headers})
    await send({"type": "http.response.body", "body": body})
