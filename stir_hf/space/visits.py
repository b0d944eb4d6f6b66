"""Visitors' requests: who sent them, who still reads the answers, and which uploads they name."""

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

UNHEARD = 10
"""Seconds within which a visitor must begin to read the answer."""


@dataclass(eq=False)
class Visit:
    """A request, from when it joins the queue until it ends."""

    address: str = ""
    asked: bytes = b""
    """The body of the request."""
    is_of_a_tool: bool = False
    """True for a call of the MCP tool, whose caller cannot be seen to leave."""
    session: str = ""
    """Gradio's name of the page or client that sent the request."""
    event: str = ""
    """Gradio's name of the request."""
    heard: threading.Event = field(default_factory=threading.Event)
    """Set once somebody reads the answer."""
    left: bool = False
    """True once the visitor has left or cancelled."""
    since: float = field(default_factory=time.monotonic)

    def is_gone(self) -> bool:
        """Return True if nobody waits for the answer any more."""
        return self.left or not (self.heard.is_set() or time.monotonic() - self.since < UNHEARD)


NOBODY = Visit()
"""The visit of a call that does not come through a page."""
NOBODY.heard.set()


class Visits:
    """The requests that wait or are at work."""

    def __init__(self) -> None:
        self._there: set[Visit] = set()
        self._streams = Counter[str]()

    def enter(self, visit: Visit) -> None:
        """Count a visit from now on."""
        if self._streams[visit.session]:
            visit.heard.set()
        self._there.add(visit)

    def end(self, visit: Visit) -> None:
        """Count a visit no more."""
        visit.left = True
        self._there.discard(visit)

    def count(self, address: str) -> int:
        """Number of requests of an address that wait or are at work."""
        return sum(visit.address == address for visit in list(self._there))

    def names(self, path: Path, but: Visit) -> bool:
        """Return True if another request names an upload."""
        name = path.parent.name.encode()  # the hash of its content
        return any(name in visit.asked for visit in list(self._there) if visit is not but)

    def cancel(self, key: str) -> None:
        """End the visits of a request that is cancelled, or of a session."""
        for visit in self._of(key):
            self.end(visit)

    def open(self, key: str) -> None:
        """Note that somebody begins to read the answers to a session or a request."""
        self._streams[key] += 1
        for visit in self._of(key):
            visit.heard.set()

    def close(self, key: str, *, left: bool) -> None:
        """Note that somebody reads no more: the answers are complete, or the reader `left`."""
        self._streams[key] -= 1
        if not self._streams[key]:
            del self._streams[key]
            if left:
                self.cancel(key)

    def _of(self, key: str) -> list[Visit]:
        return [visit for visit in list(self._there) if key in (visit.event, visit.session)]


VISITS = Visits()
"""The requests of the page in this process."""
