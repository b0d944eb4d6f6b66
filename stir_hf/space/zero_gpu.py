"""Requests on ZeroGPU, which lends a device for a while (not tried on the Hub)."""

import contextvars
import os
import queue
import re
import shutil
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from typing import Any, cast

from stir_hf.errors import RunError
from stir_hf.space.asked import Comparison, Limits
from stir_hf.space.work import (
    LOOK_EVERY,
    ONE_AT_A_TIME,
    SECRETS,
    Message,
    Run,
    Work,
    answer,
    attempt,
    begun,
    nobody,
)

LEAST, MOST = 30, 120
"""Seconds of a device that are asked for."""


def is_zero_gpu() -> bool:
    """Whether this is a Space on ZeroGPU, as `spaces` itself tells."""
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def runner() -> type[Run] | type["OnZeroGpu"]:
    """What runs a request here."""
    return OnZeroGpu if is_zero_gpu() else Run


def seconds(_: Work, request: Any, __: Path) -> int:
    """How long a request may hold a device: what is asked for counts against the visitor's share,
    whether it is used or not.
    """
    if not isinstance(request, Comparison):
        return 2 * LEAST
    count = len(request.uploads) or request.images
    return min(MOST, LEAST + count * request.steps // 150)


@cache
def lent() -> Callable[[Work, Any, Path], Iterator[Message]]:
    """What `spaces` makes of a request; asked for before the page is served, as it looks then for
    what needs a device.
    """
    import spaces

    made: Callable[[Work, Any, Path], Iterator[Message]] = spaces.GPU(duration=seconds)(_messages)
    return made


def _messages(work: Work, request: Any, folder: Path) -> Iterator[Message]:
    """In a worker of ZeroGPU: the messages of a request, which ends when nobody asks for more."""
    for name in SECRETS:
        os.environ.pop(name, None)
    told: queue.Queue[Message | None] = queue.Queue()
    left = threading.Event()

    def send(message: Message) -> None:
        if left.is_set():
            raise BrokenPipeError
        told.put(message)

    def do() -> None:
        with suppress(BrokenPipeError):
            attempt(work, request, folder, send)
        told.put(None)

    thread = threading.Thread(target=do, daemon=True)
    thread.start()
    try:
        while (message := told.get()) is not None:
            yield message
    finally:
        left.set()
        thread.join()


class OnZeroGpu:
    """A request on ZeroGPU; as `Run`, but for the bound of memory.

    A thread waits for what the device's worker tells, as only that can end the worker, at its next
    word: nobody who closes waits for it.

    Args:
        work: a function of a module.
        request: what was asked.
        limits: of time.
        is_gone: as of `Run`.
    """

    def __init__(
        self, work: Work, request: Any, limits: Limits, is_gone: Callable[[], bool] = nobody
    ) -> None:
        self._limits, self._left = limits, threading.Event()
        self._told: queue.Queue[Message | Exception] = queue.Queue()
        with begun(limits, is_gone) as self._folder:
            self._ends = time.monotonic() + limits.seconds
            messages = lent()(work, request, self._folder)
            # `spaces` finds out who asks by the context.
            run = contextvars.copy_context().run
            threading.Thread(target=run, args=(self._read, messages), daemon=True).start()

    def _read(self, messages: Iterator[Message]) -> None:
        try:
            with closing(cast("Generator[Message]", messages)) as told:
                for message in told:
                    self._told.put(message)
                    if self._left.is_set():
                        break
        except Exception as error:  # shown, if anybody is there
            self._told.put(error)
        finally:
            for path in (self._folder, *_caches()):
                shutil.rmtree(path, ignore_errors=True)
            ONE_AT_A_TIME.release()

    def __iter__(self) -> Iterator[Message | None]:
        """Its messages, None where there was none for a moment; the last one is `done`.

        Raises:
            RequestError, RunError: what the work says, or `spaces`, or that it took too long.
        """
        try:
            message: Message | None = None
            while message is None or "done" not in message:
                if time.monotonic() > self._ends:
                    raise RunError(f"it took longer than {self._limits.seconds:.0f} seconds")
                message = self._next()
                yield message
        finally:
            self.close()

    def _next(self) -> Message | None:
        try:
            told = self._told.get(timeout=LOOK_EVERY)
        except queue.Empty:
            return None
        if isinstance(told, Exception):  # no share left, or the device was taken away
            text = str(getattr(told, "message", told))
            raise RunError(" ".join(re.sub(r"<[^>]*>", " ", text).split())) from told
        return answer(told)

    def close(self) -> None:
        """End the work at its next word."""
        self._left.set()


def _caches() -> tuple[Path, ...]:
    """Where the libraries of the page's own process put what they fetch."""
    import datasets
    import huggingface_hub

    fetched = huggingface_hub.constants
    places: tuple[Any, ...] = (
        fetched.HF_HUB_CACHE,
        fetched.HF_XET_CACHE,
        datasets.config.HF_DATASETS_CACHE,
    )
    return tuple(Path(place) for place in places)
