"""Requests on ZeroGPU, which lends a device for a while (not tried on the Hub)."""

import os
import queue
import re
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

from stir_hf.errors import RunError
from stir_hf.space.asked import Comparison, Limits
from stir_hf.space.guards.messages import without_paths
from stir_hf.space.work import (
    LOOK_EVERY,
    SECRETS,
    Message,
    Messages,
    Place,
    Work,
    attempt,
    in_a_process,
)

LEAST, MOST = 30, 120
"""Seconds for which a device is asked."""


def is_zero_gpu() -> bool:
    """Return True in a Space on ZeroGPU, as `spaces` itself decides it."""
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def place() -> Place:
    """Return where a request that computes is done here."""
    return on_a_device if is_zero_gpu() else in_a_process


def seconds(_: Work, request: Any, __: Path) -> int:
    """Return how long a request may hold a device: the time counts against the visitor's share,
    used or not.
    """
    if not isinstance(request, Comparison):
        return 2 * LEAST
    count = len(request.uploads) or request.images
    return min(MOST, LEAST + count * request.steps // 150)


@cache
def lent() -> Callable[[Work, Any, Path], Messages]:
    """Wrap the work for ZeroGPU; to be called before the page is served, when `spaces` looks for
    functions that need a device.
    """
    import spaces

    made: Callable[[Work, Any, Path], Messages] = spaces.GPU(duration=seconds)(_messages)
    return made


def _messages(work: Work, request: Any, folder: Path) -> Messages:
    """Do a request in a worker of ZeroGPU; it ends at its next message if nobody asks for more."""
    for name in SECRETS:
        os.environ.pop(name, None)
    told: queue.Queue[Message] = queue.Queue()
    left = threading.Event()

    def send(message: Message) -> None:
        if left.is_set():
            raise BrokenPipeError
        told.put(message)

    with ThreadPoolExecutor(1) as worker:
        working = worker.submit(attempt, work, request, folder, send)
        try:
            while not (working.done() and told.empty()):
                try:
                    message = told.get(timeout=LOOK_EVERY)
                except queue.Empty:
                    message = {}
                yield message
        finally:
            left.set()


def on_a_device(work: Work, request: Any, folder: Path, _: Limits) -> Messages:
    """Do a request on a device of ZeroGPU, whose worker has no bound of memory."""
    try:
        with closing(lent()(work, request, folder)) as messages:
            yield from messages
    except Exception as error:  # no share left, or the device was taken away
        text = str(getattr(error, "message", error))
        raise RunError(without_paths(" ".join(re.sub(r"<[^>]*>", " ", text).split()))) from error
    finally:
        _remove_fetched()


def _remove_fetched() -> None:
    """Remove what the libraries in the page's own process fetched."""
    import datasets
    import huggingface_hub

    fetched = huggingface_hub.constants
    for place in (fetched.HF_HUB_CACHE, fetched.HF_XET_CACHE, datasets.config.HF_DATASETS_CACHE):
        shutil.rmtree(place, ignore_errors=True)
