"""Writes to the Hub that are tried again, and its refusals as one line."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from stir_hf.errors import RequestError, RunError, one_line
from stir_hf.hub import (
    BUSY,
    again,
    asked_wait,
    is_of_the_hub,
    is_unreachable,
    server_message,
    status_of,
)

_T = TypeVar("_T")
_KEPT = "pushing failed, and what was made is kept"
_STALE = (409, 412)


def patiently(call: Callable[[], _T], what: str, context: str = _KEPT) -> _T:
    """Call again while the Hub is busy, away, or another writer was faster; with longer and longer
    waits, or those that the Hub asks for.

    Args:
        call: what is asked.
        what: the repo in words, `dataset lab/images`.
        context: what a refusal begins with.

    Raises:
        RequestError: a patience that is no number of seconds.
        RunError: another refusal, or the patience is over.
    """
    try:
        return again(call, what, passes=_passes)
    except (RequestError, RunError):
        raise
    except Exception as error:  # of several libraries; what is not of the Hub goes on
        if not is_of_the_hub(error):
            raise
        raise RunError(refusal(error, what, context)) from error


@contextmanager
def storage_errors() -> Iterator[None]:
    """The client of the Hub's storage raises a bare RuntimeError, whatever kept it from storing."""
    try:
        yield
    except RuntimeError as error:
        if status_of(error) is not None:
            raise
        raise ConnectionError(one_line(error)) from error


def is_invalid(error: RunError) -> bool:
    """Return whether the Hub refused what a commit holds."""
    return error.__cause__ is not None and status_of(error.__cause__) in (400, 422)


def _passes(error: BaseException) -> bool:
    """Return whether it may be otherwise in a while."""
    return is_unreachable(error) or status_of(error) in _STALE


_LACKS_A_RIGHT = re.compile(
    r"\brights?\b|permission|\bpermitted|create_pr|write access|not authori[sz]ed|not allowed",
    re.IGNORECASE,
)
"""Words of the Hub for a token or an account that may not write; other refusals with status 403 are
about quotas and the like.
"""


def refusal(error: BaseException, what: str, context: str) -> str:
    """One line that says what to do."""
    import huggingface_hub as hub

    status, said = status_of(error), server_message(error)
    if status == 404 or isinstance(error, hub.errors.RepositoryNotFoundError):
        told = f"there is no {what}, or the token may not see it"
    elif status == 401:
        told = "the Hub does not accept the token: sign in with `hf auth login`"
    elif status == 403 and _LACKS_A_RIGHT.search(said or ""):
        told = f"the token may not write to {what}: use one that may, or --create-pr proposes it"
    elif status is None or is_unreachable(error):
        cause = type(error).__name__ if status is None else f"status {status}"
        told = f"the Hub cannot be reached for {what} ({cause}); try again later"
    elif status == BUSY:
        wait = asked_wait(error)
        time = "" if wait is None else f" {wait:.0f} s"
        told = f"the Hub asks to wait{time} before more is asked of {what}; try again later"
    elif status in _STALE:
        told = f"others keep writing to {what}; try again later"
    else:
        told = f"the Hub refused {what} with status {status}: {said or one_line(error)}"
        said = None
    return f"{context}: {told}" + (f"; the Hub says: {said}" if said and status == 403 else "")
