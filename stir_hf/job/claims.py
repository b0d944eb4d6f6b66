"""Which images a process makes: whoever has room takes the next ones."""

import numpy as np
from numpy.typing import NDArray

from stir_hf.job.rows import Key
from stir_hf.runtime import Counters

FEW = 4
"""Rows in flight that no process gives up: a batch of fewer costs nearly as much."""


class Claims:
    """What is left of a set, handed out in order. The draws of an image stay together, since it is
    decoded once.

    One process takes full batches. Several take smaller ones, and one image at a time towards the
    end, so that they finish together although images take different numbers of passes. Where a
    smaller batch is a quicker one, a process also leaves to the others what is more than its share
    of the last images.

    Args:
        keys: (n, 2): position and draw, sorted.
        counters: how many positions were taken, by all processes.
        name: of this set, among the counters.
        processes: how many take.
        paced: whether half a batch takes about half the time, as on a CPU.
    """

    def __init__(
        self,
        keys: NDArray[np.int64],
        counters: Counters,
        name: str,
        processes: int,
        *,
        paced: bool = False,
    ) -> None:
        self._keys, self._counters, self._name = keys, counters, name
        self._processes, self._paced = processes, paced and processes > 1
        positions, first = np.unique(keys[:, 0], return_index=True)
        self._positions, self._ends = positions, np.append(first, len(keys))

    def __len__(self) -> int:
        """How many rows were left when the run began."""
        return len(self._keys)

    def enough(self, active: int) -> bool:
        """Whether a process with so many rows in flight leaves the rest to the others for now."""
        if not self._paced or not active:
            return False
        taken = min(self._counters.get(self._name), len(self._positions))
        left = len(self._keys) - int(self._ends[taken])
        return active >= max(FEW, left // self._processes)

    def take(self, most: int) -> list[Key]:
        """The rows of up to `most` further positions; none when nothing is left."""
        there = len(self._positions)
        share = most
        if self._processes > 1:
            left = there - self._counters.get(self._name)
            ends = left <= (2 if self._paced else 1) * self._processes * most
            share = 1 if ends else min(most, left // (2 * self._processes))
        end = self._counters.add(self._name, share)
        first, last = (self._ends[min(i, there)] for i in (end - share, end))
        return [(int(position), int(draw)) for position, draw in self._keys[first:last]]
