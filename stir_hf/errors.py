"""The two errors that a user sees as one line, and functions that word and raise them."""

import difflib
import math
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from operator import index
from typing import Any

_BREAKS = re.compile(r"[\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]+")
_HARMLESS = re.compile(
    r"((?<=[^\0-\x7f])[\u200c\u200d](?=[^\0-\x7f])|[\xa0\u1680\u2000-\u200a\u202f\u205f\u3000])"
)
"""Joiners in words and emoji, and spaces, which `str.isprintable` rejects."""


class RequestError(ValueError):
    """The request is wrong, found before any work was done (exit code 2)."""

    def __init__(self, problem: str, remedy: str = "") -> None:
        """Word the error as the problem and, behind it, what a user of Python or of the command
        line can do about it, which the page leaves out.
        """
        super().__init__(printable(problem + remedy))  # names may hold anything
        self.problem = printable(problem)


class RunError(RuntimeError):
    """The run failed while it was under way (exit code 1). What was computed before is on disk."""


def printable(text: object) -> str:
    """Return a text as one line that every terminal shows as it is.

    Line breaks and tabs become spaces; other control characters, marks of writing direction and
    lone surrogates are escaped.
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
"""The note on an error that another process of the run prints."""

_LONGEST = 400


def one_line(error: BaseException) -> str:
    """Return the first non-empty line of an exception's text, together with the next where it ends
    in a colon, or the class name; at most 400 characters.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = " ".join(lines[:2]) if lines and lines[0].endswith(":") else "".join(lines[:1])
    return cut(printable(told) or type(error).__name__, _LONGEST)


def cut(text: str, longest: int) -> str:
    """Return a text of at most `longest` characters, ending with "…" where it was longer."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def closest(given: str, known: Iterable[str], shown: int = 5) -> str:
    """Return a hint: "did you mean a, b?" with the known names nearest to `given`, else the first
    names; an empty string where there are none.
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
    """Raise RequestError for a name that is not UTF-8, such as a file name from another system,
    which neither JSON nor the libraries can hold.
    """
    try:
        str(value).encode()
    except UnicodeEncodeError:
        shown = str(value).encode("utf-8", "backslashreplace").decode()
        raise RequestError(f"{what} {shown} is not a UTF-8 name; rename it") from None


def as_count(name: str, value: object, least: int = 1) -> int:
    """Return a whole number, also one of NumPy, as an int.

    Raises:
        RequestError: not a whole number, or one below `least`.
    """
    try:
        whole = None if isinstance(value, bool) else index(value)  # type: ignore[arg-type]
    except TypeError:
        whole = None
    if whole is not None and whole >= least:
        return whole
    shown = value if whole is None else whole
    raise RequestError(f"{name} must be a whole number of at least {least}, not {shown!r}")


def as_weight(name: str, value: object) -> float:
    """Return a finite number of at least 0, also one of NumPy, as a float.

    Raises:
        RequestError: anything else.
    """
    try:
        number = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number < math.inf:
        raise RequestError(f"{name} must be a finite number of at least 0, not {value!r}")
    return number


def as_flag(name: str, value: Any) -> bool:
    """Return a truth value, also one of NumPy, as a bool.

    Raises:
        RequestError: anything else, numbers included.
    """
    of_numpy = str(getattr(value, "dtype", "")) == "bool" and getattr(value, "shape", None) == ()
    if not isinstance(value, bool) and not of_numpy:
        raise RequestError(f"{name} must be True or False, not {value!r}")
    return bool(value)


_MEMORY = re.compile(
    r"out of memory|not enough memory|allocate memory|ALLOC_FAILED|enforce fail at alloc|bad_alloc",
    re.IGNORECASE,
)


def is_out_of_memory(error: BaseException) -> bool:
    """Return True for an out-of-memory error of any library."""
    if isinstance(error, RunError):
        return False
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return named or _MEMORY.search(str(error)) is not None


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and those from which it was raised."""
    while error is not None:
        yield error
        error = error.__cause__


ONE_AT_A_TIME = "--batch-size 1 is too much, too: use a device with more memory, or a smaller dtype"
"""The advice after batches were halved down to a single input."""


@contextmanager
def memory_errors(doing: str, advice: str = "use a smaller --batch-size") -> Iterator[None]:
    """Raise out-of-memory errors as a RunError that says what the run was doing and what helps.

    Raises:
        RunError: in place of an out-of-memory error of any library.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise RunError(f"out of memory {doing}; {advice}") from error
