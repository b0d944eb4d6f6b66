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
"""Environment variable with the maximum seconds to wait for a Hub that is busy or unavailable."""
_AWAY, _LIMITED = 60.0, 300.0
"""Default seconds to wait: for an unavailable Hub, and if the Hub asks to wait. Its rate limits
last five minutes.
"""
_LONGEST_WAIT, _TOLD = 30.0, 4.0


@dataclass
class _Left:
    """The remaining seconds to wait."""

    away: float
    limited: float


@dataclass
class _Run:
    """The state shared by the requests of one run."""

    answers: dict[Any, Any] = field(default_factory=dict)
    left: _Left | None = None
    """The remaining waiting time; None after a request that succeeded."""


_run: ContextVar[_Run | None] = ContextVar("stir_hf_hub_run", default=None)


@contextmanager
def one_run() -> Iterator[None]:
    """A context in which equal requests are made once, and all waiting together stays within the
    timeout. It applies to its own thread; an inner context belongs to the outer run.
    """
    token = None if _run.get() else _run.set(_Run())
    try:
        yield
    finally:
        if token is not None:
            _run.reset(token)


def once(key: tuple[Any, ...], ask: Callable[[], T]) -> T:
    """The answer of `ask`, or its earlier answer for this key in the same run; outside of a run
    nothing is cached.
    """
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
    """Retry a request while the Hub is busy or unavailable, with increasing waits or those that the
    Hub asks for; the last error is raised. `what` is the repo in words, such as `dataset
    lab/images`; `passes` tells transient errors, of which a rate limit always is one.

    Raises:
        RequestError: STIR_HF_HUB_TIMEOUT is not a number of seconds.
    """
    run = _run.get() or _Run()
    run.left = left = run.left or _patience()
    wait = 1.0
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
                _log.warning(f"the Hub is busy or unavailable: retrying {what} in {pause:.0f} s")
            time.sleep(pause)
            if asked is None:
                left.away, wait = left.away - pause, wait * 2
            else:
                left.limited -= pause
        else:
            run.left = None
            return found


def request(
    call: Callable[[], T], what: str, context: str = "pushing failed, and all results are kept"
) -> T:
    """Retry a request like `again`, also after conflicts with other writers, and raise its errors
    in one line, which begins with `context`.

    Raises:
        RequestError: STIR_HF_HUB_TIMEOUT is not a number of seconds.
        RunError: the Hub refuses, or the timeout has passed.
    """

    def passes(error: BaseException) -> bool:
        return is_unreachable(error) or status_of(error) in STALE

    try:
        return again(call, what, passes=passes)
    except (RequestError, RunError):
        raise
    except Exception as error:  # of several libraries; errors of others are raised
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
