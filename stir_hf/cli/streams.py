"""Output to streams of any encoding, and of none."""

import json
import logging
import os
import sys
import traceback
import warnings
from types import TracebackType
from typing import Any

import click

from stir_hf.errors import printable

REPLACED = "backslashreplace"
"""The way to write a character that a stream's encoding lacks: that of Python on stderr, so that
two names stay two.
"""
FAILS = ("strict", "surrogateescape")
"""The ways of Python on stdout where nothing was asked for: a name that it lacks, or one that is no
text, would end a run after its work.
"""


def write_anything() -> None:
    """Let no character fail on stdout or stderr, in this process and in those that it starts.

    A stream that is no file's (a test's, a notebook's) or is not there (pythonw) is left alone, and
    so is how a user wants it.
    """
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None and stream.errors in FAILS:
            reconfigure(errors=REPLACED)
    encoding, _, errors = os.environ.get("PYTHONIOENCODING", "").partition(":")
    if errors in ("", *FAILS):
        os.environ["PYTHONIOENCODING"] = f"{encoding}:{REPLACED}"


class _Record(logging.LogRecord):
    """A record whose message is one printable line, whichever library logs it."""

    def getMessage(self) -> str:  # noqa: N802 - logging's name
        return printable(super().getMessage())


def say_plainly() -> None:
    """Let what any library logs, warns of or raises be printable lines: it may hold text of others,
    such as a sentence of a Hub, or the name of a class in a model's configuration.
    """
    logging.setLogRecordFactory(_Record)
    warnings.formatwarning = _warned
    sys.excepthook = _traced


def _warned(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    line: str | None = None,  # noqa: ARG001 - the name that warnings gives it
) -> str:
    return f"{filename}:{lineno}: {category.__name__}: {printable(message)}\n"


def _traced(_: type[BaseException], error: BaseException, __: TracebackType | None) -> None:
    echo(*"".join(traceback.format_exception(error)).splitlines(), err=True)


def echo(*lines: str, err: bool = False) -> None:
    """Print each argument as one line that every terminal shows as it is, whoever wrote what is in
    it.
    """
    click.echo("\n".join(map(printable, lines)), err=err)


def echo_json(value: Any) -> None:
    """Print one JSON object in ASCII.

    Raises:
        ValueError: a number that is not finite, which JSON has not.
    """
    click.echo(json.dumps(value, allow_nan=False))
