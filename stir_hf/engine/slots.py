"""The images in flight: a batch of fixed slots that are refilled in place."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stir_hf.engine.constraints import Constraint
from stir_hf.engine.ledger import Ledger
from stir_hf.engine.rules import Rule
from stir_hf.engine.shapes import per_image

STOP_MARGIN = 0.9
"""An image stops at this share of its tolerance, which leaves room for what rounding it to 8 bits
adds to its error.
"""


@dataclass(frozen=True)
class Item:
    """One inversion to be made.

    `key` is what it is known by, `start` (…) where the descent begins, `target` (d,) the
    representation to be met, and `origin` (…) the original, for constraints that use it.
    `tolerance` is of its relative error, where it is not that of the run.
    """

    key: tuple[int, int]
    start: Tensor
    target: Tensor
    origin: Tensor | None = None
    tolerance: float | None = None


@dataclass(frozen=True)
class Inverted:
    """One inversion made.

    `value` (…) is the best iterate, within the constraint, and `passes` the passes that it took to
    meet an error that is good enough, or all there were. Where `finite` is false, a
    representation, gradient or iterate was not finite; the image ended there, and `value` is no
    inversion.
    """

    key: tuple[int, int]
    value: Tensor
    passes: int
    finite: bool


class Slots:
    """Tensors whose first axis is the slot. Iterates are never changed in place, but for slots
    that are refilled.
    """

    def __init__(
        self, items: Sequence[Item], rule: Rule, constraint: Constraint, tolerance: float
    ) -> None:
        self.rule, self.constraint, self.tolerance = rule, constraint, tolerance
        self.keys = [item.key for item in items]
        self.ages = [0] * len(items)
        self.target = torch.stack([item.target for item in items])
        self.origin = _origins(items) if constraint.uses_origin else None
        starts = torch.stack([item.start for item in items])
        self.x = constraint.project(starts, self.origin) if rule.projects_start else starts
        self.state = rule.begin(self.x)
        self.best = self.x.clone()
        self.noted: list[tuple[Tensor, Tensor, Tensor]] = []
        self.ledger = Ledger([self._enough(item) for item in items], self.target)

    def _enough(self, item: Item) -> float:
        """The error at which an image stops; below 0 under a rule that does not."""
        tolerance = self.tolerance if item.tolerance is None else item.tolerance
        return STOP_MARGIN * tolerance if self.rule.stops else -1.0

    def note(self, error: Tensor, gradient: Tensor) -> None:
        """Note what a pass found of the iterates; on the CPU it is settled later, a few passes at
        once.
        """
        self.noted.append((self.x, error, gradient.flatten(1).sum(1)))
        if not self.ledger.on_host:
            self.settle()

    def settle(self) -> None:
        """Keep the best of the iterates that were noted."""
        self._remember([(x, self.ledger.enter(error, sums)) for x, error, sums in self.noted])
        self.noted.clear()

    def note_last(self, error: Tensor, among: list[bool]) -> None:
        """Keep the last iterates of some images where they are the best."""
        self._remember([(self.x, self.ledger.enter_last(error, among))])

    def _remember(self, iterates: list[tuple[Tensor, Any]]) -> None:
        """Keep iterates where they are the best so far, the later ones before the earlier ones.

        They are selected, as NaN times 0 is NaN. On the CPU that is done once for each row, by
        rows.
        """
        if not self.ledger.on_host:
            for x, improved in iterates:
                self.best = torch.where(per_image(improved, x), x, self.best)
            return
        taken = np.zeros(len(self.keys), bool)
        for x, improved in reversed(iterates):
            _copy_rows(self.best, x, improved & ~taken)
            taken |= improved

    def take(self, rows: list[int]) -> list[Inverted]:
        """What came of some slots."""
        at = self._at(rows)
        origin = None if self.origin is None else self.origin.index_select(0, at)
        values = self.constraint.project(self.best.index_select(0, at), origin)
        whole = values.flatten(1).isfinite().all(1).tolist()
        passes, finite = self.ledger.passes.tolist(), self.ledger.finite.tolist()
        return [
            Inverted(self.keys[i], value, passes[i], finite[i] and ok)
            for i, value, ok in zip(rows, values.unbind(), whole, strict=True)
        ]

    def refill(self, rows: list[int], items: Sequence[Item]) -> None:
        """Put new items in place of those in some slots."""
        new, at = Slots(items, self.rule, self.constraint, self.tolerance), self._at(rows)
        for tensor, values in zip(self._tensors(), new._tensors(), strict=True):
            tensor.index_copy_(0, at, values)
        for row, key in zip(rows, new.keys, strict=True):
            self.keys[row], self.ages[row] = key, 0
        self.ledger.refill(rows, new.ledger)

    def keep(self, rows: list[int]) -> None:
        """Keep some slots only: what is left when no item waits."""
        at = self._at(rows)
        self.keys, self.ages = [self.keys[i] for i in rows], [self.ages[i] for i in rows]
        self.x, self.best, self.target = (
            tensor.index_select(0, at) for tensor in (self.x, self.best, self.target)
        )
        self.origin = None if self.origin is None else self.origin.index_select(0, at)
        self.state = {name: tensor.index_select(0, at) for name, tensor in self.state.items()}
        self.ledger.keep(rows)

    def _tensors(self) -> list[Tensor]:
        origin = [] if self.origin is None else [self.origin]
        return [self.x, self.best, self.target, *origin, *self.state.values()]

    def _at(self, rows: list[int]) -> Tensor:
        return torch.tensor(rows, dtype=torch.long, device=self.x.device)


def _copy_rows(into: Tensor, x: Tensor, chosen: np.ndarray) -> None:
    """Copy some rows, on the CPU, where a mask of all values would cost more than the rest of a
    step.
    """
    rows, others = (torch.from_numpy(mask.nonzero()[0]) for mask in (chosen, ~chosen))
    if len(rows) > len(others):
        kept = into.index_select(0, others)
        into.copy_(x).index_copy_(0, others, kept)
    elif len(rows):
        into.index_copy_(0, rows, x.index_select(0, rows))


def _origins(items: Sequence[Item]) -> Tensor:
    origins = [item.origin for item in items if item.origin is not None]
    if len(origins) < len(items):
        raise ValueError("this constraint is around the original: each item needs its origin")
    return torch.stack(origins)
