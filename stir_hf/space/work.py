"""A request's work in a process of its own, which can be ended at any moment and leaves nothing
behind.
"""

import atexit
import multiprocessing
import os
import secrets
import shutil
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from stir_hf.errors import RequestError, RunError, is_out_of_memory
from stir_hf.space.asked import Limits, UploadError

Message = dict[str, Any]
Send = Callable[[Message], None]
Work = Callable[[Any, Path, Send], None]
"""A request, an empty folder of its own, and where its messages go: `step` while it is under way,
`done` at its end.
"""

SECRETS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "OAUTH_CLIENT_SECRET", "HF_TOKEN_PATH")
CACHES = (
    "HF_HUB_CACHE",
    "HUGGINGFACE_HUB_CACHE",
    "HF_DATASETS_CACHE",
    "HF_MODULES_CACHE",
    "HF_XET_CACHE",
)
TOO_LARGE = "it needed more memory than there is for one request"
NO_ROOM = "there is no room for another request just now; try again later"
LOOK_EVERY = 0.2
"""Seconds between two looks at whether the work has something to tell."""


@cache
def home() -> Path:
    """The folder of all that requests fetch and write; it goes with the page."""
    folder = Path(tempfile.mkdtemp(prefix="stir-hf-space-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@contextmanager
def _environment() -> Iterator[None]:
    """That of the processes: without a secret, and with a Hugging Face cache of their own."""
    before = {name: os.environ.pop(name, None) for name in ("HF_HOME", *CACHES, *SECRETS)}
    os.environ["HF_HOME"] = str(home() / "hf")
    try:
        yield
    finally:
        del os.environ["HF_HOME"]
        os.environ.update({name: value for name, value in before.items() if value is not None})


@cache
def _processes() -> Any:
    """Where the processes come from: one that has the libraries in memory."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["stir_hf.space.jobs", "transformers", "datasets", "matplotlib"])
    with _environment():
        forkserver.ensure_running()
    return context


def warm_up() -> None:
    """Start what the processes come from, so that the first request need not wait for it."""
    process = _processes().Process(target=_nothing)
    with _environment():
        process.start()
    process.join()


def _nothing() -> None:
    """What ends at once."""


ONE_AT_A_TIME = threading.Lock()
"""What a request fetches lies in one place, and goes with it."""


def nobody() -> bool:
    """What is never gone."""
    return False


@contextmanager
def begun(limits: Limits, is_gone: Callable[[], bool]) -> Iterator[Path]:
    """Begin a request when no other is at work: its empty folder, and `ONE_AT_A_TIME` held, unless
    what is done within fails.

    Raises:
        RunError: the others last longer than they may, nobody waits for this one any more, or the
            system has no room for another.
    """
    ends = time.monotonic() + limits.seconds + 60
    while not ONE_AT_A_TIME.acquire(timeout=1):
        if is_gone() or time.monotonic() > ends:
            raise RunError(NO_ROOM)
    folder = home() / f"request-{secrets.token_hex(8)}"
    try:
        folder.mkdir()
        yield folder
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        ONE_AT_A_TIME.release()
        if isinstance(error, OSError | EOFError | RuntimeError) and not isinstance(error, RunError):
            raise RunError(NO_ROOM) from error
        raise


class Run:
    """A request at work: iterate over its messages; `close` ends it and removes what it left.

    Args:
        work: a function of a module, as it runs in another process.
        request: what was asked.
        limits: of time, memory and files.
        is_gone: whether nobody waits for it any more, while it waits for others.
    """

    def __init__(
        self, work: Work, request: Any, limits: Limits, is_gone: Callable[[], bool] = nobody
    ) -> None:
        self._limits, self._ended = limits, False
        with begun(limits, is_gone) as self._folder:
            self._ends = time.monotonic() + limits.seconds
            self._messages, theirs = _processes().Pipe(duplex=False)
            self._process = _processes().Process(
                target=_work, args=(work, request, self._folder, theirs, limits), daemon=True
            )
            with _environment():
                self._process.start()
            theirs.close()

    def __iter__(self) -> Iterator[Message | None]:
        """The messages, None where there was none for a moment; the last one is `done`.

        Raises:
            RequestError, RunError: what the work says, or that it took too long or too much.
        """
        try:
            while True:
                message = self._next()
                yield message
                if message is not None and "done" in message:
                    return
        finally:
            self.close()

    def _next(self) -> Message | None:
        if time.monotonic() > self._ends:
            raise RunError(
                f"it took longer than the {self._limits.seconds:.0f} seconds there are for one"
                " request; ask for fewer images or passes"
            )
        if not self._messages.poll(LOOK_EVERY):
            if not self._process.is_alive() and not self._messages.poll():
                raise RunError(self._why())
            return None
        try:
            message: Message = self._messages.recv()
        except (EOFError, OSError) as error:  # ended within a message
            raise RunError(self._why()) from error
        return answer(message)

    def _why(self) -> str:
        """Why the process ended without a word: the system ends what takes too much memory."""
        self._process.join(5)
        by_the_system = (self._process.exitcode or 0) < 0
        return TOO_LARGE if by_the_system else "it ended without saying why"

    def close(self) -> None:
        """End the work, if it has not ended, and remove its folder and what it fetched."""
        if self._ended:
            return
        self._ended = True
        self._process.kill()
        self._process.join()
        self._messages.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        shutil.rmtree(home() / "hf", ignore_errors=True)
        ONE_AT_A_TIME.release()


def answer(message: Message) -> Message:
    """A message, unless it is a refusal.

    Raises:
        RequestError, RunError: it is.
    """
    if "refused" in message:
        raise (UploadError if message["uploads"] else RequestError)(message["refused"])
    if "failed" in message:
        raise RunError(message["failed"])
    return message


def _work(work: Work, request: Any, folder: Path, messages: Connection, limits: Limits) -> None:
    _limit(limits)
    os.chdir(folder)
    tempfile.tempdir = str(folder)
    with suppress(BrokenPipeError), messages:
        attempt(work, request, folder, messages.send)


def attempt(work: Work, request: Any, folder: Path, send: Send) -> None:
    """Do a request; what it is refused with, or fails with, is its last message. A visitor sees a
    sentence, the owner the log.
    """
    try:
        work(request, folder, send)
    except RequestError as error:
        send({"refused": str(error), "uploads": isinstance(error, UploadError)})
    except RunError as error:
        send({"failed": str(error)})
    except BrokenPipeError:
        raise
    except (Exception, MemoryError) as error:
        full = is_out_of_memory(error) or isinstance(error, MemoryError)
        full = full or "start new thread" in str(error)
        send({"failed": TOO_LARGE if full else f"it failed inside ({type(error).__name__})"})
        if not full:
            traceback.print_exc()


def _limit(limits: Limits) -> None:
    """Bounds that the system holds: memory, the size of a file, no core files."""
    import resource

    for what, most in (
        (resource.RLIMIT_DATA, limits.memory),
        (resource.RLIMIT_FSIZE, limits.file),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))
