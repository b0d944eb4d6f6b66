"""The Hub asked again while it is busy or away, and its refusals as one line."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from stir_hf.errors import RequestError, RunError, one_line
from stir_hf.hub import is_unreachable

_T = TypeVar("_T")
PATIENCE = "STIR_HF_PATIENCE"
"""Environment variable: how many seconds a push waits in all for a Hub that is busy or away."""

_PATIENCE, _LONGEST_WAIT = 60.0, 30.0
_KEPT = "pushing failed, and what was made is kept"
_STALE, _BUSY = (409, 412), 429


def patiently(call: Callable[[], _T], what: str, context: str = _KEPT) -> _T:
    """Call again while the Hub is busy, away, or another writer was faster; with longer and longer
    waits, or those that the Hub asks for.

    Args:
        call: what is asked.
        what: the repo in words, `dataset lab/images`.
        context: what a refusal begins with.

    Raises:
        RunError: another refusal, or the patience is over.
    """
    left, wait = float(os.environ.get(PATIENCE, _PATIENCE)), 1.0
    while True:
        try:
            return call()
        except (RequestError, RunError):
            raise
        except Exception as error:  # of several libraries; what is not of the Hub goes on
            if not is_of_the_hub(error):
                raise
            pause = min(_asked_wait(error) or wait, _LONGEST_WAIT)
            if not _passes(error) or pause > left:
                raise RunError(refusal(error, what, context)) from error
            time.sleep(pause)
            left, wait = left - pause, wait * 2


@contextmanager
def storage_errors() -> Iterator[None]:
    """The client of the Hub's storage raises a bare RuntimeError, whatever kept it from storing."""
    try:
        yield
    except RuntimeError as error:
        if status_of(error) is not None:
            raise
        raise ConnectionError(one_line(error)) from error


def is_of_the_hub(error: BaseException) -> bool:
    """Whether the Hub, or the way there, is at fault."""
    return status_of(error) is not None or is_unreachable(error)


def is_invalid(error: RunError) -> bool:
    """Whether the Hub refused what a commit holds."""
    return error.__cause__ is not None and status_of(error.__cause__) in (400, 422)


def status_of(error: BaseException) -> int | None:
    """The HTTP status of a refusal; the client wraps those of its storage."""
    found: BaseException | None = error
    while found is not None and getattr(found, "response", None) is None:
        found = found.__cause__
    status = getattr(getattr(found, "response", None), "status_code", None)
    return None if status is None else int(status)


def _passes(error: BaseException) -> bool:
    """Whether it may be otherwise in a while."""
    return is_unreachable(error) or status_of(error) in (*_STALE, _BUSY)


def _asked_wait(error: BaseException) -> float | None:
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    asked = str(headers.get("Retry-After", ""))
    return float(asked) if asked.isdigit() else None


def refusal(error: BaseException, what: str, context: str) -> str:
    """One line that says what to do."""
    import huggingface_hub as hub

    status = status_of(error)
    if status == 404 or isinstance(error, hub.errors.RepositoryNotFoundError):
        told = f"there is no {what}, or the token may not see it"
    elif status == 401:
        told = "the Hub does not accept the token: sign in with `hf auth login`"
    elif status == 403:
        told = f"the token may not write to {what}: use one that may, or --create-pr proposes it"
    elif status is None or is_unreachable(error):
        cause = type(error).__name__ if status is None else f"status {status}"
        told = f"the Hub cannot be reached for {what} ({cause}); try again later"
    elif status == _BUSY:
        told = f"the Hub asks to wait before more is written to {what}; try again later"
    elif status in _STALE:
        told = f"others keep writing to {what}; try again later"
    else:
        told = f"the Hub refused {what} with status {status}: {one_line(error)}"
    return f"{context}: {told}"
