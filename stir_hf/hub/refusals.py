"""Errors of the Hub and of the connection to it, as one line."""

import importlib
import importlib.util
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import huggingface_hub as hub

from stir_hf.errors import RequestError, RunError, causes, closest, one_line
from stir_hf.hub.found import Found, RepoType

_SHOWN = 3
BUSY = 429
STALE = (409, 412)
"""HTTP statuses for a commit whose parent is no longer the newest commit."""
NOT_PASSING = (501, 507)
"""HTTP statuses above 500 that a retry does not change: not implemented, or no storage left."""


def not_cached(found: Found, names: Sequence[str]) -> RequestError:
    """The error for files of a repo that are not in the cache while the Hub does not answer."""
    shown = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
    are = "are" if len(names) > 1 else "is"
    return RequestError(
        f"{shown} of {found.repo_type} {found.repo_id!r} {are} not in the cache, and {silence()}"
    )


def silence() -> str:
    """The reason why the Hub did not answer."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "the Hub was not asked (HF_HUB_OFFLINE=1)"
    return "the Hub cannot be reached"


@contextmanager
def only_cached(found: Found) -> Iterator[None]:
    """Add to errors about a repo that its cache may be incomplete, if its list of files is unknown.

    Raises:
        RequestError: the error with that addition.
    """
    try:
        yield
    except RequestError as error:
        if found.listed:
            raise
        raise RequestError(
            f"{found.repo_type} {found.repo_id!r} may be incomplete in the cache, and {silence()};"
            f" with the files in the cache: {error}"
        ) from error


@contextmanager
def hub_errors(repo_id: str, revision: str | None, repo_type: RepoType) -> Iterator[None]:
    """Turn errors of the Hub's client into one line that says what to do.

    Raises:
        RequestError: an error of the client about the repo or the connection; other exceptions are
            not changed.
    """
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError as error:
        raise RequestError(
            f"{repo_type} {repo_id} is gated",
            f": ask for access on its page, then sign in with `hf auth login`{_reason(error)}",
        ) from error
    except errors.RevisionNotFoundError as error:
        revision = revision or "main"
        hint = closest(revision, _revisions(repo_id, repo_type))
        told = f"{repo_type} {repo_id} has no revision {revision!r}"
        raise RequestError(told + (f"; {hint}" if hint else "")) from error
    except errors.RepositoryNotFoundError as error:
        raise RequestError(
            f"no {repo_type} {repo_id!r} on the Hub",
            " and no such folder here (a private one needs `hf auth login` with an account that"
            f" may read it){_reason(error)}",
        ) from error
    except errors.HFValidationError as error:
        raise RequestError(
            f"{repo_id!r} is neither a folder here nor a Hub id: {one_line(error)}"
        ) from error
    except Exception as error:  # of several libraries
        if is_unreachable(error):
            what = f"{repo_type} {repo_id!r}"
            what = f"revision {revision!r} of {what}" if revision else what
            cause = type(error.__cause__ or error).__name__
            why = silence() if is_switched_off(error) else f"{silence()} ({cause})"
            raise RequestError(f"{what} is not in the cache, and {why}") from error
        if status_of(error) is None:
            raise
        raise RequestError(_refused(error, f"{repo_type} {repo_id}")) from error


def _refused(error: BaseException, what: str) -> str:
    """Return one line for an HTTP status without its own class in the client."""
    status = status_of(error)
    if (wanted := _file_of(error)) is not None:
        what = f"{wanted} of {what}"
    if status == BUSY:
        return _asks_to_wait(error, what)
    hint = "; the token is not accepted: sign in with `hf auth login`" if status == 401 else ""
    return f"the Hub refused {what} with status {status}{hint}{_reason(error)}"


def _asks_to_wait(error: BaseException, what: str) -> str:
    wait = asked_wait(error)
    time = "" if wait is None else f" {wait:.0f} s"
    return f"the Hub asks to wait{time} before more is asked of {what}"


def _reason(error: BaseException) -> str:
    """The Hub's own explanation, if any."""
    said = server_message(error)
    return f"; the Hub says: {said}" if said else ""


def server_message(error: BaseException) -> str | None:
    """The Hub's own sentence about a refusal."""
    told = (getattr(one, "server_message", None) for one in causes(error))
    said = next(filter(None, told), None)
    return said and one_line(ValueError(said))


def _file_of(error: BaseException) -> str | None:
    """The requested file of a repo."""
    response = response_of(error)
    path = "" if response is None else str(response.url.path)
    return path.partition("/resolve/")[2].partition("/")[2] or None


def response_of(error: BaseException) -> Any:
    """The Hub's response behind an error; None for one that has a message of this package."""
    if isinstance(error, RequestError | RunError):
        return None
    responses = (getattr(one, "response", None) for one in causes(error))
    return next((one for one in responses if one is not None), None)


def status_of(error: BaseException) -> int | None:
    """The HTTP status behind an error."""
    status = getattr(response_of(error), "status_code", None)
    return None if status is None else int(status)


def asked_wait(error: BaseException) -> float | None:
    """The seconds that the Hub asks to wait: until its rate limit is reset, or by `Retry-After`;
    None if it gives none, or zero.
    """
    from huggingface_hub.utils import parse_ratelimit_headers

    headers = getattr(response_of(error), "headers", None) or {}
    limit = parse_ratelimit_headers(headers) if status_of(error) == BUSY else None
    if limit is not None and limit.remaining == 0:
        return limit.reset_in_seconds + 1.0  # whole seconds, so it may be almost one more
    asked = str(headers.get("Retry-After", "")).strip()
    return float(asked) or None if asked.isdecimal() and asked.isascii() else None


def is_of_the_hub(error: BaseException) -> bool:
    """Return whether an error comes from the Hub or the connection to it."""
    return status_of(error) is not None or is_unreachable(error)


def is_switched_off(error: BaseException) -> bool:
    """Return whether the Hub was not asked, since the user disabled it (offline mode)."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE) and status_of(error) is None


def is_unreachable(error: BaseException) -> bool:
    """Return whether the Hub did not answer: it is down, unreachable or disabled (offline mode)."""
    from huggingface_hub import errors

    if (status := status_of(error)) is not None:
        return status >= 500 and status not in NOT_PASSING
    no_answer = (
        errors.RevisionResolutionError,
        errors.LocalEntryNotFoundError,
        ConnectionError,
        *_http_errors(),
    )
    return isinstance(error, no_answer)


def _http_errors() -> tuple[type[Exception], ...]:
    """The errors of the client's HTTP library: httpx2 since huggingface_hub 2, httpx before."""
    there = [name for name in ("httpx2", "httpx") if importlib.util.find_spec(name)]
    return tuple(importlib.import_module(name).HTTPError for name in there)


def _revisions(repo_id: str, repo_type: RepoType) -> list[str]:
    """The branches and tags of a repo; empty if the Hub does not list them."""
    try:
        refs = hub.HfApi().list_repo_refs(repo_id, repo_type=repo_type)
    except Exception as error:  # of several libraries; errors of others are raised
        if not is_of_the_hub(error):
            raise
        return []
    return [ref.name for ref in (*refs.branches, *refs.tags)]


_LACKS_A_RIGHT = re.compile(
    r"\brights?\b|permission|\bpermitted|create_pr|write access|not authori[sz]ed|not allowed",
    re.IGNORECASE,
)
"""Words of the Hub about missing write permission; other errors with status 403 concern quotas and
the like.
"""


def refusal(error: BaseException, what: str, context: str) -> str:
    """Return one line that says what failed and what to do."""
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
        told = f"{_asks_to_wait(error, what)}; try again later"
    elif status in STALE:
        told = f"others keep writing to {what}; try again later"
    else:
        told = f"the Hub refused {what} with status {status}: {said or one_line(error)}"
        said = None
    return f"{context}: {told}" + (f"; the Hub says: {said}" if said and status == 403 else "")


@contextmanager
def storage_errors() -> Iterator[None]:
    """Turn the bare RuntimeError of the Hub's storage client into a ConnectionError."""
    try:
        yield
    except RuntimeError as error:
        if status_of(error) is not None:
            raise
        raise ConnectionError(one_line(error)) from error


def is_invalid(error: RunError) -> bool:
    """Return whether the Hub rejected the content of a commit."""
    return error.__cause__ is not None and status_of(error.__cause__) in (400, 422)
