"""The starts of each row in progress: how many there were, and which gave the best iterate."""

import math
from collections.abc import Sequence


class Tries:
    """Counts per slot, on the host: starts, the one with the best iterate, and marks by which a
    row that stalls is found.
    """

    def __init__(self, count: int) -> None:
        self.started = [0] * count
        """The number of the present start, from 0."""
        self.won = [0] * count
        """The number of the start with the best iterate."""
        self._best = [math.inf] * count
        self.marks = [math.inf] * count
        """The least error when the row was last looked at for a stall."""

    def begin(self, row: int) -> int:
        """Begin the next start of a row, and return its number."""
        self.started[row] += 1
        self.marks[row] = math.inf
        return self.started[row]

    def end(self, rows: list[int], best: Sequence[float]) -> list[int]:
        """Note the least losses (b,) of all slots at the end of the present start of some rows;
        return those of the rows that it improved.
        """
        won = [row for row in rows if best[row] < self._best[row]]
        for row in won:
            self.won[row], self._best[row] = self.started[row], best[row]
        return won

    def refill(self, rows: list[int]) -> None:
        """Forget some slots."""
        self._put(rows, Tries(len(rows)))

    def _put(self, rows: list[int], new: "Tries") -> None:
        for name, values in vars(self).items():
            for row, value in zip(rows, vars(new)[name], strict=True):
                values[row] = value

    def keep(self, rows: list[int]) -> None:
        """Keep only some slots."""
        for name, values in vars(self).items():
            setattr(self, name, [values[row] for row in rows])
