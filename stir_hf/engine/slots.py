"""The rows in progress: a batch of fixed slots that are refilled in place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stir_hf.engine.constraints import Constraint, Domain
from stir_hf.engine.ledger import Ledger
from stir_hf.engine.rules import Rule
from stir_hf.engine.shapes import per_row

Context = Mapping[str, Tensor]
"""Tensors (b, …) that a network gets together with its inputs, such as a mask."""

STOP_MARGIN = 0.9
"""Share of its tolerance at which a row stops; the rest is for the error of rounding in storage."""


@dataclass(frozen=True)
class Item:
    """One inversion to make."""

    key: tuple[int, int]
    """Identifies the inversion."""
    start: Tensor
    """(…): the start."""
    target: Tensor
    """(d,): the representation to match."""
    origin: Tensor | None = None
    """(…): the original, for a constraint that uses it."""
    tolerance: float | None = None
    """Tolerance of the relative error; None for that of the run."""
    context: Context = field(default_factory=dict)
    """Tensors without a batch axis, of equal names and shapes in all items of a descent."""


@dataclass(frozen=True)
class Inverted:
    """One finished inversion."""

    key: tuple[int, int]
    """The key of its item."""
    value: Tensor
    """(…): the best iterate, within the constraint."""
    passes: int
    """Number of passes until the error was sufficient, or the maximum number."""
    finite: bool
    """False if a representation, gradient or iterate was not finite. The row ended there, and
    `value` is no inversion.
    """


class Slots:
    """The tensors of all slots, with the slot as the first axis. Iterates change in place only in
    slots that are refilled.
    """

    def __init__(self, items: Sequence[Item], rule: Rule, domain: Domain, tolerance: float) -> None:
        self.rule, self.domain, self.tolerance = rule, domain, tolerance
        self.keys = [item.key for item in items]
        self.ages = [0] * len(items)
        self.target = torch.stack([item.target for item in items])
        self.context = {
            name: torch.stack([item.context[name] for item in items]) for name in items[0].context
        }
        self.origin = _origins(items) if domain.constraint.uses_origin else None
        starts = torch.stack([item.start for item in items])
        self.x = first_iterate(rule, domain.constraint, starts, self.origin)
        self.state = rule.begin(self.x)
        self.best = self.x.clone()
        self.noted: list[tuple[Tensor, Tensor, Tensor]] = []
        own = [tolerance if item.tolerance is None else item.tolerance for item in items]
        enough = [STOP_MARGIN * one if rule.stops else -1.0 for one in own]
        self.ledger = Ledger(enough, self.target)

    def note(self, error: Tensor, gradient: Tensor) -> None:
        """Record the errors of one pass; on the CPU, `settle` runs only every few passes."""
        self.noted.append((self.x, error, gradient.flatten(1).sum(1)))
        if not self.ledger.on_host:
            self.settle()

    def settle(self) -> None:
        """Keep the best of the recorded iterates."""
        self._remember([(x, self.ledger.enter(error, sums)) for x, error, sums in self.noted])
        self.noted.clear()

    def note_last(self, error: Tensor, among: list[bool]) -> None:
        """Keep the last iterates of some rows if they are the best."""
        self._remember([(self.x, self.ledger.enter_last(error, among))])

    def _remember(self, iterates: list[tuple[Tensor, Any]]) -> None:
        """Keep iterates that are the best so far, the later ones before the earlier ones.

        Rows are selected instead of multiplied by a mask, since NaN times 0 is NaN; on the CPU,
        each row is copied once.
        """
        if not self.ledger.on_host:
            for x, improved in iterates:
                self.best = torch.where(per_row(improved, x), x, self.best)
            return
        taken = np.zeros(len(self.keys), bool)
        for x, improved in reversed(iterates):
            _copy_rows(self.best, x, improved & ~taken)
            taken |= improved

    def take(self, rows: list[int]) -> list[Inverted]:
        """Return the inversions in some slots."""
        at = self._at(rows)
        origin = None if self.origin is None else self.origin.index_select(0, at)
        values = self.domain.constraint.project(self.best.index_select(0, at), origin)
        whole = values.flatten(1).isfinite().all(1).tolist()
        passes, finite = self.ledger.passes.tolist(), self.ledger.finite.tolist()
        return [
            Inverted(self.keys[i], value, passes[i], finite[i] and ok)
            for i, value, ok in zip(rows, values.unbind(), whole, strict=True)
        ]

    def refill(self, rows: list[int], items: Sequence[Item]) -> None:
        """Put new items into some slots."""
        new, at = Slots(items, self.rule, self.domain, self.tolerance), self._at(rows)
        for tensor, values in zip(self._tensors(), new._tensors(), strict=True):
            tensor.index_copy_(0, at, values)
        for row, key in zip(rows, new.keys, strict=True):
            self.keys[row], self.ages[row] = key, 0
        self.ledger.refill(rows, new.ledger)

    def keep(self, rows: list[int]) -> None:
        """Drop all other slots, when no items are left."""
        at = self._at(rows)
        self.keys, self.ages = [self.keys[i] for i in rows], [self.ages[i] for i in rows]
        self.x, self.best, self.target = (
            tensor.index_select(0, at) for tensor in (self.x, self.best, self.target)
        )
        self.origin = None if self.origin is None else self.origin.index_select(0, at)
        self.context = {name: tensor.index_select(0, at) for name, tensor in self.context.items()}
        self.state = {name: tensor.index_select(0, at) for name, tensor in self.state.items()}
        self.ledger.keep(rows)

    def _tensors(self) -> list[Tensor]:
        origin = [] if self.origin is None else [self.origin]
        context = self.context.values()
        return [self.x, self.best, self.target, *origin, *context, *self.state.values()]

    def _at(self, rows: list[int]) -> Tensor:
        return torch.tensor(rows, dtype=torch.long, device=self.x.device)


def first_iterate(
    rule: Rule, constraint: Constraint, start: Tensor, origin: Tensor | None
) -> Tensor:
    """The iterates (b, …) of the first pass, from starts (b, …), which may be changed."""
    return constraint.project(start, origin) if rule.projects_start else start


def _copy_rows(into: Tensor, x: Tensor, chosen: np.ndarray) -> None:
    """Copy some rows by their numbers; on the CPU, a mask over all values would cost more than the
    rest of a step.
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
