"""Which images a process makes: whoever has room takes the next ones."""

import numpy as np
from numpy.typing import NDArray

from stir_hf.job.rows import Key
from stir_hf.runtime import Counters

FEW = 4
"""Rows in flight that a slow process keeps: a batch of fewer costs nearly as much."""

SLOW = 0.7
"""A process is slow at this share of the mean speed."""


class Claims:
    """What is left of a set, handed out in order. The draws of an image stay together, since it is
    decoded once.

    One process takes full batches. Several take smaller ones, and one image at a time towards the
    end, so that they finish together although images take different numbers of passes. One that is
    slower than the others also keeps fewer in flight towards the end, its share by speed.

    Args:
        keys: (n, 2): position and draw, sorted.
        counters: how many positions were taken, by all processes.
        name: of this set, among the counters.
        processes: how many take.
    """

    def __init__(
        self, keys: NDArray[np.int64], counters: Counters, name: str, processes: int
    ) -> None:
        self._keys, self._counters, self._name = keys, counters, name
        self._processes, self._passes, self._micros = processes, 0, 0
        positions, first = np.unique(keys[:, 0], return_index=True)
        self._positions, self._ends = positions, np.append(first, len(keys))

    def __len__(self) -> int:
        """How many rows were left when the run began."""
        return len(self._keys)

    def note(self, passes: int, seconds: float) -> None:
        """Note how fast this process is: passes of one image, and how long they took."""
        if self._processes == 1:
            return
        micros = round(seconds * 1e6)
        self._passes, self._micros = self._passes + passes, self._micros + micros
        self._counters.add(f"{self._name}-passes", passes)
        self._counters.add(f"{self._name}-micros", micros)

    def enough(self, active: int) -> bool:
        """Whether this process, with so many rows in flight, leaves the rest to faster ones for
        now.
        """
        if active < FEW or (speed := self._speed()) > SLOW:
            return False
        taken = min(self._counters.get(self._name), len(self._positions))
        left = len(self._keys) - int(self._ends[taken])
        return active >= left * speed / self._processes

    def _speed(self) -> float:
        """As a share of that of all processes' mean."""
        if not self._micros:
            return 1.0
        passes, micros = (
            self._counters.get(f"{self._name}-{what}") for what in ("passes", "micros")
        )
        return (self._passes / self._micros) / (passes / micros)

    def take(self, most: int) -> list[Key]:
        """The rows of up to `most` further positions; none when nothing is left."""
        there = len(self._positions)
        share = most
        if self._processes > 1:
            left = there - self._counters.get(self._name)
            ends = left <= self._processes * most
            near = left <= 4 * self._processes * most
            alone = ends or (near and self._speed() <= SLOW)
            share = 1 if alone else max(1, min(most, left // (2 * self._processes)))
        end = self._counters.add(self._name, share)
        first, last = (self._ends[min(i, there)] for i in (end - share, end))
        return [(int(position), int(draw)) for position, draw in self._keys[first:last]]
