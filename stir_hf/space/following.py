"""A request of a visitor, followed from its beginning to its end."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import Any

import gradio as gr

from stir_hf.errors import RunError
from stir_hf.space.asked import Limits
from stir_hf.space.guards.visits import VISITS, Visit
from stir_hf.space.work import Message, Work, run

LEFT = "the visitor has left"


@contextmanager
def visiting(request: gr.Request | None) -> Iterator[Visit]:
    """Give the visit that the gate has noted for a request, and end it."""
    visit: Visit | None = getattr(getattr(request, "state", None), "visit", None)
    if visit is None:  # a call that does not come through a page
        visit = Visit()
        visit.heard.set()
    visit.begun = True
    visit.see()
    VISITS.enter(visit)
    try:
        yield visit
    finally:
        VISITS.end(visit)


def follow(work: Work, request: Any, limits: Limits, visit: Visit) -> Iterator[Message]:
    """Do a request that somebody waits for; yields its messages (see `run`), also empty ones, at
    which gradio looks whether the visitor is there. The work ends with this generator, or when
    gradio asks for no more.

    Raises:
        RequestError, RunError: see `run`.
    """
    if not visit.is_heard():  # gradio would keep an answer that nobody reads
        raise RunError(LEFT)
    told: SimpleQueue[Message | Exception] = SimpleQueue()
    ended = threading.Event()
    asked = work, request, limits, visit, told, ended
    threading.Thread(target=_do, args=asked, daemon=True).start()
    try:
        while True:
            message = _next(told, visit)
            if isinstance(message, Exception):
                raise message
            yield message
            if "done" in message:
                return
    finally:
        ended.set()


def _next(told: "SimpleQueue[Message | Exception]", visit: Visit) -> Message | Exception:
    while True:
        visit.see()
        with suppress(Empty):
            return told.get(timeout=1)


def _do(
    work: Work,
    request: Any,
    limits: Limits,
    visit: Visit,
    told: "SimpleQueue[Message | Exception]",
    ended: threading.Event,
) -> None:
    """Do a request, in a thread of its own: what gradio closes is closed in its event loop, which
    must not wait for the end of a process.
    """
    last: Message | Exception = RunError(LEFT)
    try:
        with closing(run(work, request, limits)) as messages:
            for message in messages:
                if ended.is_set() or not visit.is_seen():
                    break
                if "done" in message:
                    last = message
                else:
                    told.put(message)
    except Exception as error:  # it is raised where the request is followed
        last = error
    told.put(last)  # when nothing of the request is left
