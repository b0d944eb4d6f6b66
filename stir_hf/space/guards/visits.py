"""Visitors' requests: who sent them, who reads the answers, and which uploads they name."""

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

UNHEARD = 10
"""Seconds within which a visitor must begin to read the answer."""
UNSEEN = 20
"""Seconds after which nobody waits for an answer for which gradio has not asked."""
UNBEGUN = 2
"""Seconds for which a request counts whose handler is not called, as gradio refuses its inputs."""


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
    begun: bool = False
    """True once the handler is called."""
    seen: float = field(default_factory=time.monotonic)
    """The time when the request joined, or when gradio last asked for a part of its answer."""

    def is_heard(self) -> bool:
        """Wait for somebody to read the answer; False if nobody does in time."""
        heard = self.heard.wait(max(0.0, self.seen + UNHEARD - time.monotonic()))
        self.see()
        return heard

    def see(self) -> None:
        """Note that gradio asks for the next part of the answer, unless it is cancelled."""
        if self.seen > -inf:
            self.seen = time.monotonic()

    def is_seen(self) -> bool:
        """Return False for a request that is cancelled, or that gradio has dropped: it does not
        close the generator of one that is cancelled in its first step.
        """
        return time.monotonic() - self.seen < (UNSEEN if self.begun else UNBEGUN)


class Visits:
    """The requests that wait or are at work. Gradio itself ends those whose visitor has left."""

    def __init__(self) -> None:
        self._there: set[Visit] = set()
        self._streams = Counter[str]()

    def enter(self, visit: Visit) -> None:
        """Count a visit from now on, and no longer those that are not seen."""
        for unseen in [one for one in list(self._there) if not one.is_seen()]:
            self._there.discard(unseen)
        if any(self._streams.get(key) for key in (visit.session, visit.event)):
            visit.heard.set()
        self._there.add(visit)

    def end(self, visit: Visit) -> None:
        """Count a visit no more."""
        self._there.discard(visit)

    def count(self, address: str | None = None) -> int:
        """Number of requests of an address, or of all, that wait or are at work."""
        there = [visit for visit in list(self._there) if visit.is_seen()]
        return sum(address in (None, visit.address) for visit in there)

    def names(self, path: Path, but: Visit) -> bool:
        """Return True if another request names an upload."""
        name = path.parent.name.encode()  # the hash of its content
        return any(name in visit.asked for visit in list(self._there) if visit is not but)

    def cancel(self, event: str) -> None:
        """End a request."""
        for visit in list(self._there):
            if event and event == visit.event:
                visit.seen = -inf

    def open(self, key: str) -> None:
        """Note that somebody begins to read the answers to a session or a request."""
        self._streams[key] += 1
        for visit in list(self._there):
            if key in (visit.event, visit.session):
                visit.heard.set()

    def close(self, key: str) -> None:
        """Note that somebody reads no more."""
        self._streams[key] -= 1
        if not self._streams[key]:
            del self._streams[key]


VISITS = Visits()
"""The requests of the page in this process."""
