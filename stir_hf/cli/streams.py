"""Output to streams of any encoding, or to none."""

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
"""The error handler for characters that an encoding lacks: the one of stderr, which keeps different
names different.
"""
FAILS = ("strict", "surrogateescape")
"""Python's default error handlers for stdout, under which an unusual name would end a run."""


def write_anything() -> None:
    """Let stdout and stderr write every character, in this process and in those that it starts.

    A stream without a file (in a test or a notebook), a missing one (pythonw) and an error handler
    that the user chose are left alone.
    """
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None and stream.errors in FAILS:
            reconfigure(errors=REPLACED)
    encoding, _, errors = os.environ.get("PYTHONIOENCODING", "").partition(":")
    if errors in ("", *FAILS):
        os.environ["PYTHONIOENCODING"] = f"{encoding}:{REPLACED}"


class _Record(logging.LogRecord):
    """A log record whose message is one printable line."""

    def getMessage(self) -> str:  # noqa: N802 - logging's name
        return printable(super().getMessage())


def say_plainly() -> None:
    """Make the messages, warnings and errors of every library printable lines, as they may quote
    text of others: an answer of the Hub, or a class name in a model's configuration.
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
    """Print each argument as one printable line."""
    click.echo("\n".join(map(printable, lines)), err=err)


def echo_json(value: Any) -> None:
    """Print one JSON object in ASCII.

    Raises:
        ValueError: a number that is not finite, which JSON cannot hold.
    """
    click.echo(json.dumps(value, allow_nan=False))
