"""Requests on ZeroGPU, which lends a device for a while (not tried on the Hub)."""

import os
import queue
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from stir_hf.errors import RunError
from stir_hf.space.asked import Comparison, Limits
from stir_hf.space.work import (
    ONE_AT_A_TIME,
    SECRETS,
    Message,
    Run,
    Work,
    answer,
    attempt,
    begun,
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
    passes = request.images * request.steps if isinstance(request, Comparison) else 0
    return min(MOST, LEAST + passes // 150)


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

    Args:
        work: a function of a module.
        request: what was asked.
        limits: of time.
    """

    def __init__(self, work: Work, request: Any, limits: Limits) -> None:
        self._limits, self._ended = limits, False
        with begun(limits) as self._folder:
            self._ends = time.monotonic() + limits.seconds
            self._messages = lent()(work, request, self._folder)

    def __iter__(self) -> Iterator[Message | None]:
        """Its messages; the last one is `done`.

        Raises:
            RequestError, RunError: what the work says, or `spaces`, or that it took too long.
        """
        import gradio as gr

        yield None
        try:
            for message in self._messages:
                if time.monotonic() > self._ends:
                    raise RunError(f"it took longer than {self._limits.seconds:.0f} seconds")
                yield answer(message)
        except gr.Error as error:  # no share left, or the device was taken away
            raise RunError(" ".join(re.sub(r"<[^>]*>", " ", str(error.message)).split())) from error
        finally:
            self.close()

    def close(self) -> None:
        """End the work and remove what it fetched and wrote."""
        if self._ended:
            return
        self._ended = True
        close = getattr(self._messages, "close", lambda: None)
        close()
        for path in (self._folder, *_caches()):
            shutil.rmtree(path, ignore_errors=True)
        ONE_AT_A_TIME.release()


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
