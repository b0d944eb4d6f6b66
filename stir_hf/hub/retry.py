"""Retries of requests to the Hub."""

import logging
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar

from stir_hf.errors import RequestError, RunError
from stir_hf.hub.refusals import (
    BUSY,
    STALE,
    asked_wait,
    is_of_the_hub,
    is_switched_off,
    is_unreachable,
    refusal,
    status_of,
)

T = TypeVar("T")
_log = logging.getLogger("stir_hf")

HUB_TIMEOUT = "STIR_HF_HUB_TIMEOUT"
"""Environment variable: how many seconds are waited at most for a Hub that is busy or away."""
_AWAY, _LIMITED = 60.0, 300.0
"""Seconds without that variable: for a Hub that is away, and where it says how long to wait; a
limit of requests of the Hub lasts five minutes.
"""
_LONGEST_WAIT, _TOLD = 30.0, 4.0


@dataclass
class _Left:
    """The seconds that may still be waited."""

    away: float
    limited: float


@dataclass(frozen=True)
class _Run:
    """The state that the requests of one run share."""

    answers: dict[Any, Any] = field(default_factory=dict)
    left: list[_Left] = field(default_factory=list)
    """The time to wait that is left, while no answer has come yet."""


_run: ContextVar[_Run | None] = ContextVar("stir_hf_hub_run", default=None)


@contextmanager
def one_run() -> Iterator[None]:
    """Ask the Hub for the same thing once within, and wait for it no longer in all than the
    patience lasts. Another thread, or a run inside another's, is none of its own.
    """
    token = None if _run.get() else _run.set(_Run())
    try:
        yield
    finally:
        if token is not None:
            _run.reset(token)


def once(key: tuple[Any, ...], ask: Callable[[], T]) -> T:
    """The answer of `ask`, or its earlier one in this run under this key; none is kept outside."""
    run = _run.get()
    if run is None:
        return ask()
    if key not in run.answers:
        run.answers[key] = ask()
    found: T = run.answers[key]
    return found


def again(
    call: Callable[[], T],
    what: str,
    *,
    passes: Callable[[BaseException], bool] = is_unreachable,
) -> T:
    """Call again while the Hub is busy or away, with longer and longer waits, or those that the Hub
    asks for; what it raises in the end passes on.

    Args:
        call: what is asked.
        what: the repo in words, `dataset lab/images`.
        passes: whether an error may be otherwise in a while; one that says how long to wait, or
            that too much was asked, always is.

    Raises:
        RequestError: a patience that is no number of seconds.
    """
    run = _run.get()
    waits = run.left if run else []
    if not waits:
        waits.append(_patience())
    left, wait = waits[0], 1.0
    while True:
        try:
            found = call()
        except Exception as error:  # of several libraries
            busy = status_of(error) == BUSY
            asked = asked_wait(error) if busy or passes(error) else None
            pause = min(wait, _LONGEST_WAIT, left.away) if asked is None else asked
            enough = 0 < pause <= (left.away if asked is None else left.limited)
            if is_switched_off(error) or not (busy or passes(error)) or not enough:
                raise
            if pause > _TOLD:
                _log.warning(f"the Hub is busy or away: {what} is asked for again in {pause:.0f} s")
            time.sleep(pause)
            if asked is None:
                left.away, wait = left.away - pause, wait * 2
            else:
                left.limited -= pause
        else:
            waits.clear()
            return found


def request(
    call: Callable[[], T], what: str, context: str = "pushing failed, and what was made is kept"
) -> T:
    """Call as `again` does, also where another writer was faster, and tell a refusal in one line.

    Args:
        call: what is asked.
        what: the repo in words, `dataset lab/images`.
        context: the beginning of the message of a refusal.

    Raises:
        RequestError: a patience that is no number of seconds.
        RunError: another refusal, or the patience is over.
    """

    def passes(error: BaseException) -> bool:
        return is_unreachable(error) or status_of(error) in STALE

    try:
        return again(call, what, passes=passes)
    except (RequestError, RunError):
        raise
    except Exception as error:  # of several libraries; what is not of the Hub goes on
        if not is_of_the_hub(error):
            raise
        raise RunError(refusal(error, what, context)) from error


def _patience() -> _Left:
    text = os.environ.get(HUB_TIMEOUT, "").strip()
    if not text:
        return _Left(_AWAY, _LIMITED)
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise RequestError(f"{HUB_TIMEOUT} is {text!r}; expected a number of seconds, such as 60")
    return _Left(seconds, seconds)
