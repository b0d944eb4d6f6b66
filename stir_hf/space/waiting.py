"""What waits and works in gradio's queue, which has no public names for it: the requirements name
gradio's exact version.
"""

from pathlib import Path
from typing import Any

import gradio as gr

from stir_hf.space.gate import visitor

COMPUTING = "one at a time"
"""The concurrency id of all that computes."""
UNREAD = 60
"""Messages that nobody has read, after which nobody is taken to be there."""


class Waiting:
    """The queue of a page.

    Args:
        queue: gradio's.
    """

    def __init__(self, queue: Any) -> None:
        self._queue = queue

    def count(self, address: str) -> int:
        """How many requests of an address compute or wait to."""
        computing = [event for event in self._events() if event.concurrency_id == COMPUTING]
        return sum(visitor(event.request.scope) == address for event in computing)

    def names(self, path: Path, *, but: str | None = None) -> bool:
        """Whether a request that waits or is at work names an upload; `but` is a session whose
        work does not count.
        """
        name = f"{path.parent.name}/{path.name}"
        asked = [*self._waiting(), *(e for e in self._working() if e.session_hash != but)]
        return any(name in str(getattr(event.data, "data", "")) for event in asked)

    def is_gone(self, session: str | None) -> bool:
        """Whether whoever asked has left, or does not read what is told."""
        if any(not event.alive for event in self._events() if event.session_hash == session):
            return True
        messages = self._queue.pending_messages_per_session.get(session)
        return messages is not None and messages.qsize() > UNREAD

    def forget(self, session: str | None) -> None:
        """Drop what nobody has read."""
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
        self._waiting = None if asked is None else Waiting(asked.app.get_blocks()._queue)

    def is_gone(self) -> bool:
        """Whether nobody waits for it any more."""
        return self._waiting is not None and self._waiting.is_gone(self._session)

    def is_shared(self, path: Path) -> bool:
        """Whether another request names an upload, too."""
        return self._waiting is not None and self._waiting.names(path, but=self._session)

    def end(self) -> None:
        """Drop what was told to nobody."""
        if self._waiting is not None and self._waiting.is_gone(self._session):
            self._waiting.forget(self._session)
