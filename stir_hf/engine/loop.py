"""The loop: a full batch of rows descends together, each stops by itself, and others take its
place.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from stir_hf.engine.domain import Domain
from stir_hf.engine.objectives import relative_error
from stir_hf.engine.rules import Rule
from stir_hf.engine.slots import Context, Inverted, Item, Slots

__all__ = ["Context", "Inverted", "Item", "Objective", "Represent", "Watch", "descend"]

Represent = Callable[[Tensor, Context], Tensor]
"""Inputs (b, …) and their context to representations (b, d), differentiable, each row by
itself.
"""

Objective = Callable[[Tensor, Tensor], Tensor]
"""Representations (b, d) and targets (b, d) to a loss (b,) whose least value is 0."""

LOOK_EVERY = {"cpu": 5}
LOOK_EVERY_ELSEWHERE = 25
"""Passes between two looks at the errors from the host, for which an accelerator has to be waited
for.
"""


@dataclass(frozen=True)
class Watch:
    """A look at the rows in progress."""

    active: int
    """Number of rows in progress."""
    error: float
    """Mean of their best errors so far."""
    passes: int
    """Passes of single rows since the last look."""
    keys: Sequence[tuple[int, int]]
    """Keys of the rows."""
    best: Tensor
    """(b, …): their best iterates, which the next pass changes."""


def descend(
    represent: Represent,
    items: Iterable[Item | None],
    rule: Rule,
    *,
    domain: Domain,
    passes: int,
    tolerance: float,
    batch_size: int,
    objective: Objective = relative_error,
    watch: Callable[[Watch], None] | None = None,
) -> Iterator[Inverted]:
    """Invert each item in a batch that is kept full, and yield them as they finish, in no
    particular order.

    A row takes at most `passes` passes (one forward and one backward each). Under a rule that
    stops, it ends with its first iterate whose relative error is at or below 0.9 of the tolerance.
    A row with a representation, gradient or iterate that is not finite ends by itself.

    The result of a row does not depend on the others in its batch: the objective is summed over
    rows, and the best iterate is chosen in every pass, though the host looks at the errors only
    every 5 passes (CPU) or 25 (elsewhere).

    Args:
        represent: the map to be inverted. Gradients are enabled here, whatever the caller has set.
        items: taken as slots come free; None leaves its slot empty and the batch smaller.
        rule: the update rule.
        domain: the set in which iterates lie, and the axes of space, for rules that filter along
            them.
        passes: most passes per row, at least 1.
        tolerance: of the relative error, for items without one of their own.
        batch_size: most rows at a time.
        objective: the loss, where it is not the relative error itself.
        watch: called after each look.

    Raises:
        ValueError: an item without an origin, under a constraint that uses it, or no axis of space
            for a rule that needs one.
    """
    if rule.needs_space and not domain.space:
        raise ValueError(f"{type(rule).__name__} filters along space; give its axes")
    source = iter(items)
    if not (first := _taken(source, batch_size)):
        return
    with torch.inference_mode(False), torch.no_grad():
        slots = Slots(first, rule, domain, tolerance)
    every = LOOK_EVERY.get(slots.x.device.type, LOOK_EVERY_ELSEWHERE)
    while slots.keys:
        left = passes - max(slots.ages)
        with torch.inference_mode(False), torch.no_grad():
            for _ in range(min(every, left)):
                _pass(represent, slots, objective)
            slots.settle()
            if left <= every:
                _last_look(represent, slots, passes)
        searching = slots.ledger.searching().tolist()
        if watch:
            count = len(slots.keys)
            passes_now, error = count * min(every, left), slots.ledger.mean_best()
            watch(Watch(count, error, passes_now, tuple(slots.keys), slots.best))
        ended = [i for i, age in enumerate(slots.ages) if age >= passes or not searching[i]]
        if ended:
            yield from _ended(slots, ended, source)


def _pass(represent: Represent, slots: Slots, objective: Objective) -> None:
    """One pass of the whole batch, without looking at any value of an accelerator from the host."""
    x = slots.x.detach().requires_grad_(True)
    with torch.enable_grad():
        representation = represent(x, slots.context)
        loss = objective(representation, slots.target)
        (gradient,) = torch.autograd.grad(loss.sum(), x)
    loss, gradient = loss.detach(), gradient.contiguous()
    error = loss
    if objective is not relative_error:
        error = relative_error(representation.detach(), slots.target)
    slots.note(error, gradient)
    moved = slots.rule.step(slots.x, loss, gradient, slots.state, slots.domain)
    slots.x = slots.domain.constraint.project(moved, slots.origin)
    slots.ages = [age + 1 for age in slots.ages]


def _last_look(represent: Represent, slots: Slots, passes: int) -> None:
    """The iterate after the last step counts too, as in the original."""
    error = relative_error(represent(slots.x, slots.context), slots.target)
    slots.note_last(error, [age >= passes for age in slots.ages])


def _taken(source: Iterator[Item | None], most: int) -> list[Item]:
    return [item for item in islice(source, most) if item is not None]


def _ended(slots: Slots, ended: list[int], source: Iterator[Item | None]) -> Iterator[Inverted]:
    """Yield the inversions of the slots that ended; then refill the slots, or drop them."""
    with torch.inference_mode(False), torch.no_grad():
        inverted = slots.take(ended)
    yield from inverted
    new = _taken(source, len(ended))
    with torch.inference_mode(False), torch.no_grad():
        if new:
            slots.refill(ended[: len(new)], new)
        if empty := set(ended[len(new) :]):
            slots.keep([i for i in range(len(slots.keys)) if i not in empty])
