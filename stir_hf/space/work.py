"""The work of a request in a process of its own, which can be ended at any moment."""

import atexit
import multiprocessing
import os
import secrets
import shutil
import tempfile
import time
import traceback
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from stir_hf.errors import RequestError, RunError, causes, is_out_of_memory
from stir_hf.space.asked import LIMITS, Limits, UploadError
from stir_hf.space.guards.bounds import on_images
from stir_hf.space.guards.messages import public, without_paths
from stir_hf.space.turns import Turns

Message = dict[str, Any]
Send = Callable[[Message], None]
Work = Callable[[Any, Path, Send], None]
"""A function of a module. It is given a request, an empty folder of its own, and a function that
sends messages: `step` while it is in progress, `done` at its end; `error` is sent for it.
"""
Messages = Generator[Message]
"""The messages of a request, an empty one where there was none for a moment. While it waits for
others: `wait`, with the number `before` it and the expected `seconds`, or None.
"""

SECRETS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "OAUTH_CLIENT_SECRET", "HF_TOKEN_PATH")
CACHES = (
    "HF_HUB_CACHE",
    "HUGGINGFACE_HUB_CACHE",
    "HF_DATASETS_CACHE",
    "HF_MODULES_CACHE",
    "HF_XET_CACHE",
)
WAITING = "OMP_WAIT_POLICY"
"""The variable by which waiting threads of torch sleep or spin, read when torch is loaded. Threads
that spin slow a busy machine down (benchmarks/threads.py).
"""
TOO_LARGE = "it needed more memory than one request may use"
NO_ROOM = "there is no room for another request just now; try again later"
LOOK_EVERY = 0.2
"""Seconds between two looks at whether the work has something to tell."""
TELL_EVERY = 1.0
"""Seconds between two messages to a request that waits."""
TURNS = Turns()
"""One request is at work at a time: all that it fetches is in one place, and is removed with it."""


@cache
def home() -> Path:
    """Return the folder of everything that requests fetch and write; it is removed at exit."""
    folder = Path(tempfile.mkdtemp(prefix="stir-hf-space-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@contextmanager
def _environment() -> Iterator[None]:
    """Hide secrets and the Hugging Face cache from processes that start in this context. Their
    threads do not spin while they wait, unless the page's owner decides otherwise.
    """
    before = {name: os.environ.pop(name, None) for name in ("HF_HOME", WAITING, *CACHES, *SECRETS)}
    os.environ |= {"HF_HOME": str(home() / "hf"), WAITING: before[WAITING] or "PASSIVE"}
    try:
        yield
    finally:
        del os.environ["HF_HOME"], os.environ[WAITING]
        os.environ.update({name: value for name, value in before.items() if value is not None})


@cache
def _processes() -> Any:
    """Start a server that has the libraries in memory; processes are forked from it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["stir_hf.space.ready"])
    with _environment():
        forkserver.ensure_running()
    return context


def begin() -> None:
    """Start the server of processes, which loads the libraries beside what the caller does next."""
    _processes()


def warm_up() -> None:
    """Wait until the server of processes is ready, so that the first request need not."""
    process = _processes().Process()
    with _environment():
        process.start()
    process.join()


@contextmanager
def _folder() -> Iterator[Path]:
    """Make an empty folder, which is removed at the end with all that was fetched."""
    folder = home() / f"request-{secrets.token_hex(8)}"
    try:
        folder.mkdir()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(home() / "hf", ignore_errors=True)


def in_a_process(work: Work, request: Any, folder: Path, limits: Limits) -> Messages:
    """Do a request in a process, which is killed at the end."""
    try:
        messages, theirs = _processes().Pipe(duplex=False)
        process = _processes().Process(
            target=_work, args=(work, request, folder, theirs, limits), daemon=True
        )
        with _environment():
            process.start()
    except (OSError, EOFError, RuntimeError) as error:
        raise RunError(NO_ROOM) from error
    try:
        theirs.close()
        while True:
            if messages.poll(LOOK_EVERY):
                yield messages.recv()
            elif process.is_alive() or messages.poll():
                yield {}
            else:
                raise EOFError
    except (EOFError, OSError) as error:  # it ended without a word, or within one
        process.join(5)
        by_the_system = (process.exitcode or 0) < 0  # which ends what takes too much memory
        raise RunError(TOO_LARGE if by_the_system else "its process ended unexpectedly") from error
    finally:
        process.kill()
        process.join()
        messages.close()


def run(work: Work, request: Any, limits: Limits) -> Messages:
    """Do a request when its turn comes; its messages, of which the last one is `done`. Closing the
    generator ends the work and removes what it left.

    Raises:
        RequestError, RunError: the work refuses or fails, it takes too long or too much memory, or
            there is no room for it.
    """
    with TURNS.turn() as place:
        before = TURNS.before(place)
        while before:
            yield {"wait": {"before": before, "seconds": TURNS.seconds(before)}}
            before = TURNS.before(place, wait=TELL_EVERY)
        ends = time.monotonic() + limits.seconds
        with _folder() as folder, closing(in_a_process(work, request, folder, limits)) as messages:
            for message in messages:
                if time.monotonic() > ends:
                    raise RunError(
                        f"it took longer than the {limits.seconds:.0f} seconds that one request"
                        " may take; ask for fewer images or passes"
                    )
                if "error" in message:
                    raise message["error"]
                if "done" in message:
                    TURNS.note()
                    yield message
                    return
                yield message


def _work(work: Work, request: Any, folder: Path, messages: Connection, limits: Limits) -> None:
    _limit(limits)
    os.chdir(folder)
    tempfile.tempdir = str(folder)
    with suppress(BrokenPipeError), messages:
        attempt(work, request, folder, messages.send)


def attempt(work: Work, request: Any, folder: Path, send: Send) -> None:
    """Do a request; an error becomes its last message. No message names a path of this machine."""
    try:
        with on_images(getattr(request, "limits", LIMITS)):
            work(request, folder, lambda message: send(public(message)))
    except BrokenPipeError:
        raise
    except Exception as error:  # whatever ends the work is told to the page
        send({"error": _told(error)})


def _told(error: Exception) -> RequestError | RunError:
    """Return an error as a sentence for the visitor; the log has more for the page's owner."""
    if any(is_out_of_memory(one) or "start new thread" in str(one) for one in causes(error)):
        return RunError(TOO_LARGE)
    for kind in (UploadError, RequestError, RunError):
        if isinstance(error, kind):
            return kind(without_paths(getattr(error, "problem", str(error))))
    traceback.print_exc()
    return RunError(f"an internal error ended it ({type(error).__name__})")


def _limit(limits: Limits) -> None:
    """Set the bounds that the system keeps: memory, the size of a file, no core files."""
    import resource

    for what, most in (
        (resource.RLIMIT_DATA, limits.memory),
        (resource.RLIMIT_FSIZE, limits.file),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))
