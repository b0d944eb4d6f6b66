"""The rows in progress: a batch of fixed slots that are refilled in place."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stir_hf.engine.ledger import Ledger, Noted
from stir_hf.engine.plan import Context, Plan
from stir_hf.engine.shapes import per_row
from stir_hf.engine.tries import Tries

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
    others: tuple[Tensor, ...] = ()
    """The original's representations (d_i,) by the further models of the objective."""
    earlier: Tensor | None = None
    """(k, …): inputs from which this inversion is to differ, NaN where there are none yet."""
    again: Callable[[int], Tensor] | None = None
    """Function from the number of a restart, from 1, to its start (…)."""
    then: "Callable[[Tensor | None], Item] | None" = None
    """The next item for the slot, from this one's inversion, or None where it is not finite."""


@dataclass(frozen=True)
class Inverted:
    """One finished inversion."""

    key: tuple[int, int]
    """The key of its item."""
    value: Tensor
    """(…): the best iterate, within the constraint."""
    passes: int
    """Number of passes from all starts."""
    finite: bool
    """False if a representation, gradient or iterate was not finite. The row ended there, and
    `value` is no inversion.
    """
    start: int = 0
    """The number of the restart that gave it; 0 is the first start."""
    tried: int = 1
    """The number of starts that were tried."""
    error: float = float("nan")
    """The relative error of `value`, before it is stored."""


class Slots:
    """The tensors of all slots, with the slot as the first axis. Iterates change in place only in
    slots that are refilled.
    """

    def __init__(self, items: Sequence[Item], plan: Plan) -> None:
        self.plan, self.rule, self.domain = plan, plan.rule, plan.domain
        self.items, self.ages, self.tries = list(items), [0] * len(items), Tries(len(items))
        self.targets = _stacked([(item.target, *item.others) for item in items])
        self.context = {
            name: torch.stack([item.context[name] for item in items]) for name in items[0].context
        }
        earlier = [item.earlier for item in items if item.earlier is not None]
        self.earlier = torch.stack(earlier) if earlier else None
        starts = torch.stack([item.start for item in items])
        self.centre = self.domain.centre(starts, _origins(items))
        self.best_centre = None if self.centre is None else self.centre.clone()
        self.x = self.domain.first(starts, self.centre, projected=self.rule.projects_start)
        self.state = self.rule.begin(self.x, plan.passes)
        self.best = self.x.clone()
        # Where the last iterate counts, a further start overwrites `best`, which may be worse.
        self.held = self.best.clone() if self._overwrites else None
        self.noted: list[tuple[Tensor, Noted, Tensor]] = []
        self.ledger = Ledger(_enough(items, plan), self.targets[0], last=self.rule.keeps_last)

    @property
    def _overwrites(self) -> bool:
        return self.rule.keeps_last and self.plan.restarts.starts > 1

    @property
    def keys(self) -> list[tuple[int, int]]:
        """The keys of the items."""
        return [item.key for item in self.items]

    def note(self, values: Noted, gradient: Tensor) -> None:
        """Record the losses and errors of one pass; on the CPU, `settle` runs only every few
        passes.
        """
        self.noted.append((self.x, values, gradient.flatten(1).sum(1)))
        if not self.ledger.on_host:
            self.settle()

    def settle(self) -> None:
        """Keep the best of the recorded iterates."""
        self._remember([(x, self.ledger.enter(v, sums)) for x, v, sums in self.noted])
        self.noted.clear()

    def note_last(self, values: Noted, among: list[bool]) -> None:
        """Keep the last iterates of some rows if they are the best."""
        self._remember([(self.x, self.ledger.enter_last(values, among))])

    def _remember(self, iterates: list[tuple[Tensor, Any]]) -> None:
        """Keep iterates that are the best so far, the later ones before the earlier ones.

        Rows are selected instead of multiplied by a mask, since NaN times 0 is NaN; on the CPU,
        each row is copied once.
        """
        if not self.ledger.on_host:
            for x, improved in iterates:
                self.best = torch.where(per_row(improved, x), x, self.best)
            return
        taken = np.zeros(len(self.items), bool)
        for x, improved in reversed(iterates):
            _copy_rows(self.best, x, improved & ~taken)
            taken |= improved

    def take(self, rows: list[int]) -> list[Inverted]:
        """Return the inversions in some slots."""
        self._end_try(rows)
        at = self._at(rows)
        centre = None if self.best_centre is None else self.best_centre.index_select(0, at)
        unknowns = self.domain.project(self.best.index_select(0, at), centre)
        values = self.domain.inputs(unknowns)
        whole = values.flatten(1).isfinite().all(1).tolist()
        passes, errors = self.ledger.passes.tolist(), self.ledger.error.tolist()
        return [
            Inverted(
                self.items[i].key,
                value,
                passes[i],
                self.tries.sound[i] and ok,
                self.tries.won[i],
                self.tries.started[i] + 1,
                errors[i],
            )
            for i, value, ok in zip(rows, values.unbind(), whole, strict=True)
        ]

    def best_inputs(self) -> Tensor:
        """(b, …): the inputs of the best unknowns so far."""
        return self.domain.inputs(self.best)

    def _end_try(self, rows: list[int]) -> None:
        """Note which start gave the best iterate of some rows, and what that was around."""
        ledger, tries = self.ledger, self.tries
        won = tries.end(rows, ledger)
        at = self._at(won)
        if self.centre is not None and self.best_centre is not None:
            self.best_centre.index_copy_(0, at, self.centre.index_select(0, at))
        if self.held is not None:
            self.held.index_copy_(0, at, self.best.index_select(0, at))
            for row in set(rows).difference(won):
                self.best[row] = self.held[row]
                ledger.best[row], ledger.left[row], ledger.error[row] = tries.kept[row]

    def restart(self, rows: list[int]) -> None:
        """Begin some rows from their next start; their best iterates so far stay."""
        self._end_try(rows)
        again = []
        for row in rows:
            item, number = self.items[row], self.tries.begin(row)
            assert item.again is not None
            again.append(replace(item, start=item.again(number)))
            self.ages[row] = 0
        new = Slots(again, self.plan)
        self._put(rows, new, ("x", "centre"))
        self.ledger.begin_again(rows)

    def refill(self, rows: list[int], items: Sequence[Item]) -> None:
        """Put new items into some slots."""
        new = Slots(items, self.plan)
        self._put(rows, new, ("x", "best", "held", "centre", "best_centre", "earlier"))
        for many, mine in ((self.targets, new.targets), (self.context, new.context)):
            _put_all(many, mine, self._at(rows))
        for row, item in zip(rows, items, strict=True):
            self.items[row], self.ages[row] = item, 0
        self.tries.refill(rows)
        self.ledger.refill(rows, new.ledger)

    def _put(self, rows: list[int], new: "Slots", names: Sequence[str]) -> None:
        """Copy tensors and the rule's state of new rows into some slots."""
        at = self._at(rows)
        for name in names:
            if (tensor := getattr(self, name)) is not None:
                tensor.index_copy_(0, at, getattr(new, name))
        _put_all(self.state, new.state, at)

    def keep(self, rows: list[int]) -> None:
        """Drop all other slots, when no items are left."""
        at = self._at(rows)
        self.items, self.ages = [self.items[i] for i in rows], [self.ages[i] for i in rows]
        for name in ("x", "best", "held", "centre", "best_centre", "earlier"):
            if (tensor := getattr(self, name)) is not None:
                setattr(self, name, tensor.index_select(0, at))
        self.targets = tuple(tensor.index_select(0, at) for tensor in self.targets)
        self.context = {name: tensor.index_select(0, at) for name, tensor in self.context.items()}
        self.state = {name: tensor.index_select(0, at) for name, tensor in self.state.items()}
        self.tries.keep(rows)
        self.ledger.keep(rows)

    def _at(self, rows: list[int]) -> Tensor:
        return torch.tensor(rows, dtype=torch.long, device=self.x.device)


def _enough(items: Sequence[Item], plan: Plan) -> list[float]:
    """The error at which each row stops; -1 if it never does."""
    if not plan.stops:
        return [-1.0] * len(items)
    own = (plan.tolerance if item.tolerance is None else item.tolerance for item in items)
    return [STOP_MARGIN * one for one in own]


def _stacked(rows: Sequence[Sequence[Tensor | None]]) -> tuple[Tensor, ...]:
    """One tensor (b, …) for each column of tensors."""
    columns = zip(*rows, strict=True)
    return tuple(torch.stack([one for one in column if one is not None]) for column in columns)


def _put_all(many: Any, new: Any, at: Tensor) -> None:
    """Copy the rows of new tensors into those of others, both in a mapping or in a tuple."""
    names = many if isinstance(many, Mapping) else range(len(many))
    for name in names:
        many[name].index_copy_(0, at, new[name])


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


def _origins(items: Sequence[Item]) -> Tensor | None:
    """(b, …): the originals, if every item has one."""
    origins = [item.origin for item in items if item.origin is not None]
    return torch.stack(origins) if len(origins) == len(items) else None
