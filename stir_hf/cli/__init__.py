"""The command line. Results go to stdout, everything else to stderr."""

import logging
import os
import sys

import click

from stir_hf.cli import hub as hub
from stir_hf.cli import verbs as verbs
from stir_hf.cli.app import DEBUG
from stir_hf.cli.app import app as app
from stir_hf.cli.streams import echo, say_plainly, write_anything
from stir_hf.errors import TOLD, RequestError, RunError, one_line
from stir_hf.launched import main_process


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exits with 0, 1 (failed), 2 (wrong request) or 130 (interrupted)."""
    arguments = sys.argv[1:] if arguments is None else arguments
    write_anything()
    say_plainly()
    _log()
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    # Threads that spin while they wait cost 3 to 4 times the time on a busy machine. Read when
    # torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    given = arguments or ["--help"]
    try:
        code = app.main(given, prog_name="stir-hf", standalone_mode=False, obj=given)
        if code:
            sys.exit(code)
    except (KeyboardInterrupt, click.Abort):
        _fail(f"interrupted{_continues(given)}", 130, known=not main_process())
    except Exception as error:  # one line for whatever a run can meet; --debug shows the rest
        if DEBUG in arguments:
            raise
        usage = isinstance(error, click.UsageError)  # which every process of the run meets
        known = not main_process() if usage else TOLD in getattr(error, "__notes__", ())
        _fail(_told(error), 2 if usage or isinstance(error, RequestError) else 1, known=known)


def _continues(given: list[str]) -> str:
    """Return the advice to an interrupted command, empty where it cannot continue."""
    verb = app.commands.get(given[0])
    keeps = verb is not None and any(option.name == "out" for option in verb.params)
    return "; the same command with --out continues" if keeps else ""


def _told(error: Exception) -> str:
    """Return an error as one line, with its class where it was not foreseen."""
    if isinstance(error, click.UsageError):
        return error.format_message()
    if isinstance(error, RequestError):
        return str(error)
    line = one_line(error)
    known = isinstance(error, RunError | OSError) or line == type(error).__name__
    return line if known else f"{type(error).__name__}: {line} (--debug shows where)"


def _fail(message: str, code: int, *, known: bool) -> None:
    """End with a code; `known` where another process of the run prints the message."""
    if not known:
        echo(f"stir-hf: {message}", err=True)
    sys.exit(code)


def _log() -> None:
    """Print the log messages of the package in the form of its errors."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("stir-hf: %(message)s"))
    logger = logging.getLogger("stir_hf")
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.INFO if main_process() else logging.WARNING)
