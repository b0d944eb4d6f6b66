"""The descent: a batch of rows is updated together; the next takes the place of one that stops."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from stir_hf.engine.constraints import Domain
from stir_hf.engine.objectives import relative_error
from stir_hf.engine.rules import Rule
from stir_hf.engine.slots import Context, Inverted, Item, Slots

Represent = Callable[[Tensor, Context], Tensor]
"""Differentiable function from inputs (b, …) and their context to representations (b, d), with
independent rows.
"""

Objective = Callable[[Tensor, Tensor], Tensor]
"""Function from representations (b, d) and targets (b, d) to a loss (b,) with least value 0."""

LOOK_EVERY, LOOK_EVERY_ELSEWHERE = 5, 25
"""Number of passes between two reads of the errors: on a CPU, and where the host waits for them."""


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
    """Invert each item in a batch that is kept full, and yield inversions as they finish, in no
    particular order.

    A row takes at most `passes` passes (one forward and one backward each). Under a rule that
    stops, it ends with its first iterate whose relative error is at or below 0.9 of the tolerance.
    A row with a representation, gradient or iterate that is not finite ends without affecting
    others.

    The result of a row does not depend on the others in its batch: the objective is summed over
    rows, and the best iterate is chosen in every pass, although the host reads the errors only
    every 5 passes (CPU) or 25 passes (elsewhere).

    Args:
        represent: the map to invert. Gradients are enabled here, even if the caller disabled them.
        items: the inversions to make, taken as slots become free; None leaves a slot empty.
        rule: the update rule.
        domain: the set in which iterates lie, and the axes of space, for rules that filter along
            them.
        passes: maximum number of passes per row, at least 1.
        tolerance: tolerance of the relative error, for items without their own.
        batch_size: maximum number of rows at a time.
        objective: the loss; by default the relative error itself.
        watch: function that is called after each read of the errors.

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
    every = LOOK_EVERY if slots.ledger.on_host else LOOK_EVERY_ELSEWHERE
    while slots.keys:
        left = passes - max(slots.ages)
        with torch.inference_mode(False), torch.no_grad():
            for _ in range(min(every, left)):
                _pass(represent, slots, objective)
            slots.settle()
            if left <= every:  # the iterates after the last step count too, as in the original
                error = relative_error(represent(slots.x, slots.context), slots.target)
                slots.note_last(error, [age >= passes for age in slots.ages])
        searching = slots.ledger.searching().tolist()
        if watch:
            count = len(slots.keys)
            made, mean = count * min(every, left), slots.ledger.mean_best()
            watch(Watch(count, mean, made, tuple(slots.keys), slots.best))
        ended = [i for i, age in enumerate(slots.ages) if age >= passes or not searching[i]]
        if ended:
            yield from _ended(slots, ended, source)


def _pass(represent: Represent, slots: Slots, objective: Objective) -> None:
    """Run one pass of the whole batch, without reading values from an accelerator."""
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


def _taken(source: Iterator[Item | None], most: int) -> list[Item]:
    return [item for item in islice(source, most) if item is not None]


def _ended(slots: Slots, ended: list[int], source: Iterator[Item | None]) -> Iterator[Inverted]:
    """Yield the inversions in slots that ended; then refill the slots, or drop them."""
    with torch.inference_mode(False), torch.no_grad():
        inverted = slots.take(ended)
    yield from inverted
    new = _taken(source, len(ended))
    with torch.inference_mode(False), torch.no_grad():
        if new:
            slots.refill(ended[: len(new)], new)
        if empty := set(ended[len(new) :]):
            slots.keep([i for i in range(len(slots.keys)) if i not in empty])
