"""The two errors that users see as one line, and helpers for their messages."""

import difflib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from operator import index
from typing import Any

_BREAKS = re.compile(r"[\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]+")
_HARMLESS = re.compile(
    r"((?<=[^\0-\x7f])[\u200c\u200d](?=[^\0-\x7f])|[\xa0\u1680\u2000-\u200a\u202f\u205f\u3000])"
)
"""Joiners in words and emoji, and spaces, for which `str.isprintable` is False."""


class RequestError(ValueError):
    """The request is wrong; no work has been done (exit code 2)."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))  # names may hold anything


class RunError(RuntimeError):
    """The run failed (exit code 1). Results computed before the failure are on disk."""


def printable(text: object) -> str:
    """Return a text as one line that any terminal can show.

    Line breaks and tabs become spaces; other control characters, marks that change the direction of
    writing, and lone surrogates are escaped.
    """
    line = " ".join(part for part in _BREAKS.split(str(text)) if part)
    if line.isprintable():
        return line
    parts = _HARMLESS.split(line)  # every second one is harmless
    parts[::2] = ("".join(map(_shown, part)) for part in parts[::2])
    return "".join(parts)


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape", "backslashreplace").decode()


TOLD = "told by another process"
"""Note on an error that another process reports."""

_LONGEST = 400


def one_line(error: BaseException) -> str:
    """Return the first line of an exception's message that is not blank, in at most 400 characters.

    A line that ends in a colon is joined with the next; without a message, the class name is
    returned.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = " ".join(lines[:2]) if lines and lines[0].endswith(":") else "".join(lines[:1])
    return cut(printable(told) or type(error).__name__, _LONGEST)


def cut(text: str, longest: int) -> str:
    """Shorten a text to at most `longest` characters, the last of which is then "…"."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def closest(given: str, known: Iterable[str], shown: int = 5) -> str:
    """Return "did you mean a, b?" with the known names closest to `given`.

    If none is close, list the first of them; if none is known, return an empty string.
    """
    names = list(dict.fromkeys(known))
    if near := difflib.get_close_matches(given, names, n=shown, cutoff=0.5):
        return f"did you mean {', '.join(near)}?"
    if not names:
        return ""
    more = f", … ({len(names)} in all)" if len(names) > shown else ""
    return f"there are: {', '.join(names[:shown])}{more}"


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise RequestError unless `value` is one of `choices`."""
    if value not in choices:
        raise RequestError(f"{name} {value!r} is unknown; {closest(str(value), choices, shown=10)}")


def check_text(what: str, value: object) -> None:
    """Raise RequestError for a name that is not UTF-8; JSON and the libraries cannot store it."""
    try:
        str(value).encode()
    except UnicodeEncodeError:
        shown = str(value).encode("utf-8", "backslashreplace").decode()
        raise RequestError(f"{what} {shown} is not a UTF-8 name; rename it") from None


def as_count(name: str, value: object, least: int = 1) -> int:
    """Return an integer (also of NumPy) as an int.

    Raises:
        RequestError: it is not an integer, or below `least`.
    """
    try:
        whole = None if isinstance(value, bool) else index(value)  # type: ignore[arg-type]
    except TypeError:
        whole = None
    if whole is not None and whole >= least:
        return whole
    shown = value if whole is None else whole
    raise RequestError(f"{name} must be a whole number of at least {least}, not {shown!r}")


def as_flag(name: str, value: Any) -> bool:
    """Return a boolean (also of NumPy) as a bool.

    Raises:
        RequestError: it is anything else, such as a number.
    """
    of_numpy = str(getattr(value, "dtype", "")) == "bool" and getattr(value, "shape", None) == ()
    if not isinstance(value, bool) and not of_numpy:
        raise RequestError(f"{name} must be True or False, not {value!r}")
    return bool(value)


_MEMORY = re.compile(r"out of memory|not enough memory|allocate memory|ALLOC_FAILED", re.IGNORECASE)


def is_out_of_memory(error: BaseException) -> bool:
    """Return True if an error, from whatever library, says that memory ran out."""
    if isinstance(error, RunError):
        return False
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return named or _MEMORY.search(str(error)) is not None


ONE_AT_A_TIME = "--batch-size 1 is too much, too: use a device with more memory, or a smaller dtype"
"""The advice when even a batch of one input does not fit."""


@contextmanager
def memory_errors(doing: str, advice: str = "use a smaller --batch-size") -> Iterator[None]:
    """Replace out-of-memory errors of any library by one line for the user.

    Args:
        doing: the work in progress.
        advice: what the user can do.

    Raises:
        RunError: memory ran out.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise RunError(f"out of memory {doing}; {advice}") from error
