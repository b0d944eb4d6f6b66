"""Dynamic work sharing: each process takes the next inputs when it has free slots."""

import numpy as np
from numpy.typing import NDArray

from stir_hf.job.rows import Key
from stir_hf.runtime import Counters

FEW = 4
"""Number of rows that a slow process keeps in progress: a smaller batch costs nearly as much."""

SLOW = 0.7
"""Share of the mean speed at or below which a process is slow."""


class Claims:
    """The remaining rows of a set, handed out in order. The draws of an input stay together, since
    it is decoded once.

    A single process takes full batches. Several processes take smaller ones, and one input at a
    time towards the end, so that they finish together although inputs take different numbers of
    passes. A process that is slower than the others also keeps fewer rows in progress towards the
    end, in proportion to its speed.

    The keys (n, 2) are position and draw, sorted; `name` is that of the set among the counters.
    """

    def __init__(
        self, keys: NDArray[np.int64], counters: Counters, name: str, processes: int
    ) -> None:
        self._keys, self._counters, self._name = keys, counters, name
        self._processes, self._passes, self._micros = processes, 0, 0
        positions, first = np.unique(keys[:, 0], return_index=True)
        self._count, self._ends = len(positions), np.append(first, len(keys))

    def __len__(self) -> int:
        """The number of rows that were left when the run began."""
        return len(self._keys)

    def note(self, passes: int, seconds: float) -> None:
        """Record the speed of this process: passes of single inputs, and their time."""
        if self._processes == 1:
            return
        micros = round(seconds * 1e6)
        self._passes, self._micros = self._passes + passes, self._micros + micros
        self._counters.add(f"{self._name}-passes", passes)
        self._counters.add(f"{self._name}-micros", micros)

    def enough(self, active: int) -> bool:
        """Return whether this process, with `active` rows in progress, should leave the rest to
        faster ones for now.
        """
        if active < FEW or (speed := self._speed()) > SLOW:
            return False
        taken = min(self._counters.get(self._name), self._count)
        left = len(self._keys) - int(self._ends[taken])
        return active >= left * speed / self._processes

    def _speed(self) -> float:
        """The speed of this process relative to the mean of all."""
        if not self._micros:
            return 1.0
        names = (f"{self._name}-passes", f"{self._name}-micros")
        passes, micros = map(self._counters.get, names)
        return (self._passes / self._micros) / (passes / micros)

    def take(self, most: int) -> list[Key]:
        """Take the rows of up to `most` further positions; none if nothing is left."""
        share = most
        if self._processes > 1:
            left = self._count - self._counters.get(self._name)
            ends = left <= self._processes * most
            near = left <= 4 * self._processes * most
            alone = ends or (near and self._speed() <= SLOW)
            share = 1 if alone else max(1, min(most, left // (2 * self._processes)))
        end = self._counters.add(self._name, share)
        first, last = (self._ends[min(i, self._count)] for i in (end - share, end))
        return [(int(position), int(draw)) for position, draw in self._keys[first:last]]
