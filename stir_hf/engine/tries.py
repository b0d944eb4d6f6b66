"""The starts of each row in progress: how many there were, and which gave the best iterate."""

import math

from stir_hf.engine.ledger import Ledger


class Tries:
    """Counts per slot, on the host: starts, the one with the best iterate, and marks by which a
    row that stalls is found.
    """

    def __init__(self, count: int) -> None:
        self.started = [0] * count
        """The number of the present start, from 0."""
        self.won = [0] * count
        """The number of the start with the best iterate."""
        self.kept = [(math.inf, math.inf, math.inf)] * count
        """The loss of the best iterate of the starts that ended, and its errors; see `Ledger`."""
        self.sound = [False] * count
        """True if a start ended without values that are not finite."""
        self.marks = [math.inf] * count
        """The least error when the row was last looked at for a stall."""

    def begin(self, row: int) -> int:
        """Begin the next start of a row, and return its number."""
        self.started[row] += 1
        self.marks[row] = math.inf
        return self.started[row]

    def end(self, rows: list[int], ledger: Ledger) -> list[int]:
        """Note the end of the present start of some rows; return those that it improved."""
        finite, taken = ledger.finite.tolist(), ledger.taken.tolist()
        kept = list(
            zip(*(c.tolist() for c in (ledger.best, ledger.left, ledger.error)), strict=True)
        )
        won = [row for row in rows if taken[row] and self._better(kept[row], row, ledger)]
        for row in won:
            self.won[row], self.kept[row] = self.started[row], kept[row]
        for row in rows:
            self.sound[row] |= finite[row]
        return won

    def _better(self, found: tuple[float, float, float], row: int, ledger: Ledger) -> bool:
        """True if the iterate of a start is better than those before; where the last iterate
        counts, a later start takes the place of an earlier one even if it is worse.
        """
        return not ledger.last or found[0] < self.kept[row][0]

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
