"""How far all processes are, in one bar."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tqdm.auto import tqdm

from stir_hf.runtime.processes import Counters

MICRO = 1_000_000
"""Errors are added up as whole numbers of millionths."""


class Progress:
    """What was done by all processes; the bar is that of the main one."""

    def __init__(self, bar: "tqdm[Any]", counters: Counters) -> None:
        self._bar, self._counters = bar, counters
        self._before = bar.n

    def describe(self, what: str) -> None:
        """Say what is under way."""
        self._bar.set_description(what)

    def add(self, count: int, **sums: float) -> None:
        """Count what this process has done, and what is shown of it: `inverted`, `converged` and
        the sum of the errors.
        """
        self._counters.add("done", count)
        for name, value in sums.items():
            self._counters.add(name, round(value * MICRO))
        self.show()

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
def progress_bar(total: int, done: int, counters: Counters, *, shown: bool) -> Iterator[Progress]:
    """A bar over `total` images, of which so many were there before."""
    with tqdm(
        total=total, initial=done, unit="image", disable=not shown, dynamic_ncols=True
    ) as bar:
        yield Progress(bar, counters)
