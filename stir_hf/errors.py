"""The two kinds of failure that a user sees as one line, and the words they are told in."""

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
"""Joiners in words and emoji, and spaces, which `str.isprintable` does not pass."""


class RequestError(ValueError):
    """The request is wrong, found before any work was done (exit code 2)."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))  # names may hold anything


class RunError(RuntimeError):
    """The run failed while it was under way (exit code 1). What was computed before is on disk."""


def printable(text: object) -> str:
    """One line that every terminal shows as it is: line breaks and tabs are spaces; other control
    characters, marks that turn the direction of writing and lone surrogates are escaped.
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
"""The note on an error that another process of the run tells."""

_LONGEST = 400


def one_line(error: BaseException) -> str:
    """The first line of an exception's text that says something, with the next where it ends in a
    colon, or the class name; at most 400 characters.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = " ".join(lines[:2]) if lines and lines[0].endswith(":") else "".join(lines[:1])
    return cut(printable(told) or type(error).__name__, _LONGEST)


def cut(text: str, longest: int) -> str:
    """A text that ends with "…" where it is longer than so many characters."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def closest(given: str, known: Iterable[str], shown: int = 5) -> str:
    """`"did you mean a, b?"` from the known names nearest to `given`, or a list of the first ones.

    An empty string when nothing is known.
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
    """Raise RequestError for a name that is not UTF-8, as of a file on a disk of another system:
    neither JSON nor the libraries hold it.
    """
    try:
        str(value).encode()
    except UnicodeEncodeError:
        shown = str(value).encode("utf-8", "backslashreplace").decode()
        raise RequestError(f"{what} {shown} is not a UTF-8 name; rename it") from None


def as_count(name: str, value: object, least: int = 1) -> int:
    """A whole number (of NumPy, too) as an int.

    Raises:
        RequestError: no whole number, or one below `least`.
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
    """A truth value (of NumPy, too) as a bool.

    Raises:
        RequestError: anything else, numbers included.
    """
    of_numpy = str(getattr(value, "dtype", "")) == "bool" and getattr(value, "shape", None) == ()
    if not isinstance(value, bool) and not of_numpy:
        raise RequestError(f"{name} must be True or False, not {value!r}")
    return bool(value)


_MEMORY = re.compile(r"out of memory|not enough memory|allocate memory|ALLOC_FAILED", re.IGNORECASE)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error is of too little memory, whatever library raised it."""
    if isinstance(error, RunError):
        return False
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return named or _MEMORY.search(str(error)) is not None


ONE_AT_A_TIME = "--batch-size 1 is too much, too: use a device with more memory, or a smaller dtype"
"""The advice where batches were halved down to a single input."""


@contextmanager
def memory_errors(doing: str, advice: str = "use a smaller --batch-size") -> Iterator[None]:
    """Tell what a full memory means to the user: `doing` says what was under way, `advice` what can
    be done.

    Raises:
        RunError: in place of any error that tells of too little memory, whatever library raised it.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise RunError(f"out of memory {doing}; {advice}") from error
