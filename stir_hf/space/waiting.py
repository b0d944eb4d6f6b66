"""What waits and works in gradio's queue, which has no public names for it: the requirements name
gradio's minor release.
"""

import time
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.context import LocalContext

from stir_hf.space.gate import visitor

COMPUTING = "one at a time"
"""The concurrency id of all that computes."""
UNREAD = 1000
"""Messages that nobody has read, after which nobody is taken to be there."""
STILL = 60
"""Seconds in which nothing is read of what there is to read: then nobody is there, either."""


class Waiting:
    """The queue of a page.

    Args:
        queue: gradio's.
    """

    def __init__(self, queue: Any) -> None:
        self._queue = queue
        self._heads: dict[str, Head] = {}

    def count(self, address: str) -> int:
        """How many requests of an address are at work or wait."""
        events = [*self._waiting(), *self._working()]
        return sum(visitor(event.request.scope) == address for event in events)

    def names(self, path: Path, *, but: str | None = None) -> bool:
        """Whether a request that waits or is at work names an upload, but for one request."""
        name = path.parent.name  # the hash of its content
        asked = (e for e in [*self._waiting(), *self._working()] if e._id != but)
        return any(name in str(getattr(event.data, "data", "")) for event in asked)

    def is_at_work(self, event: str) -> bool:
        """Whether a request is at work, and nobody has taken it back or left."""
        return any(one.alive for one in self._working() if one._id == event)

    def unread(self, session: str | None) -> "list[Any]":
        """What was told to a session and nobody has read."""
        messages = self._queue.pending_messages_per_session.get(session)
        return [] if messages is None else list(messages._queue)

    def sweep(self, now: float | None = None) -> None:
        """Drop what nobody reads: of sessions without a request, in which nothing was read for a
        while. To be called again and again.
        """
        there = {event.session_hash for event in [*self._waiting(), *self._working()]}
        heads = {}
        for session, messages in list(self._queue.pending_messages_per_session.items()):
            if session in there or not (unread := self.unread(session)):
                continue
            heads[session] = head = self._heads.get(session, Head())
            if head.is_still(unread, now):
                while not messages.empty():
                    messages.get_nowait()
        self._heads = heads

    def _waiting(self) -> list[Any]:
        queues = list(self._queue.event_queue_per_concurrency_id.values())
        return [event for queue in queues for event in list(queue.queue)]

    def _working(self) -> list[Any]:
        return [event for job in list(self._queue.active_jobs) for event in list(job or ())]


class Head:
    """The first of what is unread, and since when it has been that."""

    def __init__(self) -> None:
        self._first: Any = None
        self._since = 0.0

    def is_still(self, unread: list[Any], now: float | None = None) -> bool:
        """Whether the first has been the same for `STILL` seconds."""
        now = time.monotonic() if now is None else now
        first = unread[0] if unread else None
        if first is None or first is not self._first:
            self._first, self._since = first, now
        return first is not None and now - self._since > STILL


class Visit:
    """The request that is at work in this thread, as far as its sender is concerned.

    Args:
        request: gradio's; None: nobody's.
    """

    def __init__(self, request: gr.Request | None = None) -> None:
        asked: Any = None if request is None else request.request
        self.is_of_a_tool = asked is not None and asked.headers.get("x-gradio-user") == "mcp"
        self._waiting = None if asked is None else Waiting(asked.app.get_blocks()._queue)
        self._session = None if request is None else request.session_hash
        self._event: str | None = LocalContext.event_id.get(None)
        self._head = Head()

    def is_gone(self) -> bool:
        """Whether nobody waits for it any more."""
        if self._waiting is None or self._event is None:
            return False
        unread = self._waiting.unread(self._session)
        still = self._head.is_still(unread) or len(unread) > UNREAD
        return still or not self._waiting.is_at_work(self._event)

    def is_shared(self, path: Path) -> bool:
        """Whether another request names an upload, too."""
        return self._waiting is not None and self._waiting.names(path, but=self._event)
