"""A request of a visitor, followed from its beginning to its end."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import gradio as gr

from stir_hf.errors import RunError
from stir_hf.space.asked import Limits
from stir_hf.space.guards.visits import VISITS, Visit
from stir_hf.space.work import LOOK_EVERY, Message, Messages, Work, run

LEFT = "the visitor has left"


@contextmanager
def visiting(request: gr.Request | None) -> Iterator[Visit]:
    """Give the visit that the gate has noted for a request, and end it."""
    visit: Visit | None = getattr(getattr(request, "state", None), "visit", None)
    if visit is None:  # a call that does not come through a page
        visit = Visit()
        visit.heard.set()
    visit.see()
    try:
        yield visit
    finally:
        VISITS.end(visit)


def follow(work: Work, request: Any, limits: Limits, visit: Visit) -> Iterator[Message]:
    """Do a request that somebody waits for; yields its messages (see `run`), also empty ones, at
    which gradio looks whether the visitor is there and otherwise closes the generator, or asks for
    no more: then the work ends, too.

    Raises:
        RequestError, RunError: see `run`.
    """
    if not visit.is_heard():  # gradio would keep an answer that nobody reads
        raise RunError(LEFT)
    messages, done, ended = run(work, request, limits), None, threading.Event()
    threading.Thread(target=_end_unseen, args=(messages, visit, ended), daemon=True).start()
    try:
        for message in messages:
            if "done" in message:
                done = message  # nothing of it is left when it is shown
            else:
                yield message
                visit.see()
        if done is None:  # it was ended while gradio was busy elsewhere
            raise RunError(LEFT)
        yield done
    finally:
        ended.set()


def _end_unseen(messages: Messages, visit: Visit, ended: threading.Event) -> None:
    """End a request when nobody asks for its messages any more. This runs in a thread of its own,
    since gradio closes generators in its event loop, which must not wait.
    """
    while not ended.wait(1) and visit.is_seen():
        pass
    while True:
        with suppress(ValueError):  # it is at work just now
            messages.close()
            return
        time.sleep(LOOK_EVERY)
