"""What waits and works in gradio's queue, which has no public names for it: the requirements name
gradio's exact version.
"""

import threading
from pathlib import Path
from typing import Any

import gradio as gr

from stir_hf.space.gate import visitor

COMPUTING = "one at a time"
"""The concurrency id of all that computes."""
UNREAD = 150
"""Messages that nobody has read, after which nobody is taken to be there: those of half a minute.
"""
LEFT = 60
"""Seconds after a request, in which its last messages may be read."""


class Waiting:
    """The queue of a page.

    Args:
        queue: gradio's.
    """

    def __init__(self, queue: Any) -> None:
        self._queue = queue

    def count(self, address: str) -> int:
        """How many requests of an address are at work or wait."""
        return sum(visitor(event.request.scope) == address for event in self._events())

    def names(self, path: Path, *, but: str | None = None) -> bool:
        """Whether a request that waits or is at work names an upload; `but` is a session whose
        work does not count.
        """
        name = path.parent.name  # the hash of its content
        asked = [*self._waiting(), *(e for e in self._working() if e.session_hash != but)]
        return any(name in str(getattr(event.data, "data", "")) for event in asked)

    def is_gone(self, session: str | None) -> bool:
        """Whether whoever asked has left or taken it back, or does not read what is told."""
        there = any(e.alive for e in self._working() if e.session_hash == session)
        return not there or self.unread(session) > UNREAD

    def unread(self, session: str | None) -> int:
        """How many messages to a session nobody has read."""
        messages = self._queue.pending_messages_per_session.get(session)
        return 0 if messages is None else int(messages.qsize())

    def forget(self, session: str | None) -> None:
        """Drop what nobody has read, unless another request of the session is there."""
        if any(event.session_hash == session and event.alive for event in self._events()):
            return
        messages = self._queue.pending_messages_per_session.get(session)
        while messages is not None and not messages.empty():
            messages.get_nowait()

    def _events(self) -> list[Any]:
        return [*self._waiting(), *self._working()]

    def _waiting(self) -> list[Any]:
        queues = list(self._queue.event_queue_per_concurrency_id.values())
        return [event for queue in queues for event in list(queue.queue)]

    def _working(self) -> list[Any]:
        return [event for job in list(self._queue.active_jobs) for event in list(job or ())]


class Visit:
    """One request, as far as its sender is concerned.

    Args:
        request: gradio's; None: nobody's.
    """

    def __init__(self, request: gr.Request | None = None) -> None:
        self._session = None if request is None else request.session_hash
        asked: Any = None if request is None else request.request
        self.is_of_a_tool = asked is not None and asked.headers.get("x-gradio-user") == "mcp"
        self._waiting = None if asked is None else Waiting(asked.app.get_blocks()._queue)

    def is_gone(self) -> bool:
        """Whether nobody waits for it any more."""
        return self._waiting is not None and self._waiting.is_gone(self._session)

    def is_shared(self, path: Path) -> bool:
        """Whether another request names an upload, too."""
        return self._waiting is not None and self._waiting.names(path, but=self._session)

    def end(self) -> None:
        """Drop what was told to nobody: at once, and what comes last after a while."""
        if self._waiting is None:
            return
        if self._waiting.is_gone(self._session):
            self._waiting.forget(self._session)
        later = threading.Timer(LEFT, self._waiting.forget, [self._session])
        later.daemon = True
        later.start()
