"""Progress of all processes, shown in one bar or passed to a watcher."""

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
"""Minimum seconds between two calls of a watcher while rows are read."""

MICRO = 1_000_000
"""Errors are summed as integers, in millionths."""

InProgress: TypeAlias = Callable[[], Mapping[int, NDArray[np.float32]]]
"""Inversions in progress, by index in the split; images are (c, h, w) in [0, 1]."""


@dataclass(frozen=True)
class Step:
    """Progress of a run."""

    what: str
    """`inverting …` or `judging …`, with the network's name; `reading …`, with the stream's."""
    done: int
    """Number of inputs finished in this bar, by all processes."""
    total: int
    """Number of inputs; for a stream of unknown length, the number read so far."""
    passes: int = 0
    """During inversion: passes of single inputs that this process has made so far."""
    error: float | None = None
    """During inversion: mean of the best relative errors of the inputs in progress."""
    in_progress: InProgress | None = None
    """During inversion: returns the best inversions in progress. Call it within the watcher."""


Watcher: TypeAlias = Callable[[Step], None]
"""Receives every step. An exception that it raises ends the run; finished inversions are kept."""


class Progress:
    """Work done by all processes, shown in the bar of the main process."""

    def __init__(
        self, bar: "tqdm[Any]", counters: Counters, watcher: Watcher | None = None
    ) -> None:
        self._bar, self._counters, self._watcher = bar, counters, watcher
        self._before, self._total = int(bar.n), int(bar.total or 0)
        self._what, self._passes = "", 0

    def describe(self, what: str) -> None:
        """Name the work in progress."""
        self._bar.set_description(printable(what))
        self._what = what

    def look(self, passes: int, active: int, error: float, in_progress: InProgress) -> None:
        """Report the inputs in progress: their number, the passes of single inputs since the
        previous report, the mean of the best errors, and how to get the inversions.
        """
        self._passes += passes
        self.show(active=active)
        self._tell(error, in_progress)

    def _tell(self, error: float | None = None, in_progress: InProgress | None = None) -> None:
        if self._watcher is not None:
            done = self._before + self._counters.get("done")
            self._watcher(Step(self._what, done, self._total, self._passes, error, in_progress))

    def add(self, count: int, **sums: float) -> None:
        """Count inputs that this process has finished, and add to the sums that the bar shows:
        `inverted`, `converged` and `error`.
        """
        self._counters.add("done", count)
        for name, value in sums.items():
            shown = min(value, MICRO)  # the counters have 64 bits; a larger sum says no more
            self._counters.add(name, round(shown * MICRO))
        self.show()
        self._tell()

    def show(self, **about: Any) -> None:
        """Update the bar."""
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
    """Open a progress bar over `total` inputs, `done` of which were finished before this run; the
    main process shows it, or calls the watcher instead.
    """
    watcher = progress if callable(progress) and main else None
    shown = progress is True and main and sys.stderr is not None  # pythonw has none
    with tqdm(
        total=total, initial=done, unit="sample", disable=not shown, dynamic_ncols=True
    ) as bar:
        yield Progress(bar, counters, watcher)


@contextmanager
def reading_bar(
    what: str, total: int | None, progress: bool | Watcher
) -> Iterator[Callable[[int], None]]:
    """Open a progress bar over the rows of a stream, `total` if that is known; call its value with
    the bytes of each row. A watcher is called instead of a bar that is shown.
    """
    done, size, told = 0, 0, 0.0
    with tqdm(
        total=total,
        desc=printable(f"reading {what}"),
        unit="sample",
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
