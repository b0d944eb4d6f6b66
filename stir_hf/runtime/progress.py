"""How far all processes are: in one bar, or told to whoever watches."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from stir_hf.errors import printable
from stir_hf.runtime.processes import Counters

EVERY_SECONDS = 0.1
"""A watcher is told of rows that are read at most so often."""

MICRO = 1_000_000
"""Errors are added up as whole numbers of millionths."""


InProgress: TypeAlias = Callable[[], Mapping[int, NDArray[np.float32]]]
"""Inputs in the making, (c, h, w) in [0, 1] for images, by their index in the split."""


@dataclass(frozen=True)
class Step:
    """How far a run is."""

    what: str
    """`inverting …` or `judging …`, with the network's name; `reading …`, with the stream's."""
    done: int
    """Images finished in this bar, by all processes."""
    total: int
    """Images in all; of a stream whose length nobody knows, those that were read so far."""
    passes: int = 0
    """Passes of one image that this process has made so far, while it inverts."""
    error: float | None = None
    """The mean of the best relative errors of the images in flight, while it inverts."""
    in_progress: InProgress | None = None
    """The best of the inversions in flight, while it inverts; to be called before it returns."""


Watcher: TypeAlias = Callable[[Step], None]
"""Told of every step; what it raises ends the run, and what is finished stays."""


class Progress:
    """What was done by all processes; the bar is that of the main one."""

    def __init__(
        self, bar: "tqdm[Any]", counters: Counters, watcher: Watcher | None = None
    ) -> None:
        self._bar, self._counters, self._watcher = bar, counters, watcher
        self._before, self._total = int(bar.n), int(bar.total or 0)
        self._what, self._passes = "", 0

    def describe(self, what: str) -> None:
        """Say what is under way."""
        self._bar.set_description(printable(what))
        self._what = what

    def look(self, passes: int, active: int, error: float, in_progress: InProgress) -> None:
        """Tell of the images that are being inverted.

        Args:
            passes: of one image, since the look before.
            active: how many there are.
            error: the mean of their best errors.
            in_progress: the images.
        """
        self._passes += passes
        self.show(active=active)
        self._tell(error, in_progress)

    def _tell(self, error: float | None = None, in_progress: InProgress | None = None) -> None:
        if self._watcher is not None:
            done = self._before + self._counters.get("done")
            self._watcher(Step(self._what, done, self._total, self._passes, error, in_progress))

    def add(self, count: int, **sums: float) -> None:
        """Count what this process has done, and what is shown of it: `inverted`, `converged` and
        the sum of the errors.
        """
        self._counters.add("done", count)
        for name, value in sums.items():
            self._counters.add(name, round(value * MICRO))
        self.show()
        self._tell()

    def show(self, **about: Any) -> None:
        """Bring the bar up to date."""
        if self._bar.disable:
            return
        if inverted := self._counters.get("inverted"):
            about["converged"] = f"{self._counters.get('converged') / inverted:.0%}"
            about["error"] = f"{self._counters.get('error') / inverted:.3f}"
        self._bar.set_postfix(about, refresh=False)
        self._bar.update(self._before + self._counters.get("done") - self._bar.n)


@contextmanager
def progress_bar(
    total: int, done: int, counters: Counters, progress: bool | Watcher, *, main: bool
) -> Iterator[Progress]:
    """A bar over `total` images, of which so many were there before.

    Args:
        total: images.
        done: of them, before.
        counters: of all processes.
        progress: whether there is a bar, or who is told instead.
        main: whether this process shows or tells it.
    """
    watcher = progress if callable(progress) and main else None
    shown = progress is True and main and sys.stderr is not None  # pythonw has none
    with tqdm(
        total=total, initial=done, unit="image", disable=not shown, dynamic_ncols=True
    ) as bar:
        yield Progress(bar, counters, watcher)


@contextmanager
def reading_bar(
    what: str, total: int | None, progress: bool | Watcher
) -> Iterator[Callable[[int], None]]:
    """A bar over the rows of a stream; what it gives counts a row of so many bytes.

    Args:
        what: the stream.
        total: of its rows, where that is known.
        progress: whether there is a bar, or who is told instead.
    """
    done = size = 0
    told = 0.0
    with tqdm(
        total=total,
        desc=printable(f"reading {what}"),
        unit="image",
        disable=progress is not True,
        dynamic_ncols=True,
    ) as bar:

        def count(of_row: int) -> None:
            nonlocal done, size, told
            done, size = done + 1, size + of_row
            bar.set_postfix_str(f"{bar.format_sizeof(size)}B", refresh=False)
            bar.update()
            if callable(progress) and (now := monotonic()) - told >= EVERY_SECONDS:
                told = now
                progress(Step(f"reading {what}", done, total or done))

        yield count
