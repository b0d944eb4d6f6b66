"""The loop: a full batch of images descends together, each stops by itself, and others take its
place.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from stir_hf.engine.constraints import Constraint
from stir_hf.engine.objectives import relative_error
from stir_hf.engine.rules import Rule
from stir_hf.engine.slots import Inverted, Item, Slots

__all__ = ["Inverted", "Item", "Objective", "Represent", "Watch", "descend"]

Represent = Callable[[Tensor], Tensor]
"""Inputs (b, …) to representations (b, d), differentiable, each row by itself."""

Objective = Callable[[Tensor, Tensor], Tensor]
"""Representations (b, d) and targets (b, d) to what is minimised (b,); its least value is 0."""

LOOK_EVERY = {"cpu": 5}
LOOK_EVERY_ELSEWHERE = 25
"""Passes between two looks at the errors from the host, for which an accelerator has to be waited
for.
"""


@dataclass(frozen=True)
class Watch:
    """What a look finds: images in flight, their mean best error so far, how many passes of one
    image there were since the look before, and the best iterates (b, …) with their keys, which the
    next pass changes.
    """

    active: int
    error: float
    passes: int
    keys: Sequence[tuple[int, int]]
    best: Tensor


def descend(
    represent: Represent,
    items: Iterable[Item | None],
    rule: Rule,
    *,
    constraint: Constraint,
    passes: int,
    tolerance: float,
    batch_size: int,
    objective: Objective = relative_error,
    watch: Callable[[Watch], None] | None = None,
) -> Iterator[Inverted]:
    """Invert each item, in a batch that is kept full; yields them as they finish, in no particular
    order.

    An image takes at most `passes` passes (one forward and one backward each) and, under a rule
    that stops, ends with its first iterate whose relative error is at or below 0.9 of the
    tolerance. An image with a representation, gradient or iterate that is not finite ends by
    itself.

    The outcome of an image does not depend on which others share its batch: the objective is
    summed over images, and what is kept is decided in every pass, though the host looks at it only
    every 5 passes (CPU) or 25 (elsewhere).

    Args:
        represent: the map to be inverted. Gradients are switched on here, whatever the caller has
            set.
        items: taken as slots come free; None leaves its slot empty, and the batch smaller.
        rule: how a step is taken.
        constraint: where iterates may lie.
        passes: the most per image, at least 1.
        tolerance: of the relative error, of items that have none of their own.
        batch_size: the most images at a time.
        objective: what is minimised, where it is not the relative error itself.
        watch: called after each look.

    Raises:
        ValueError: an item without an origin, under a constraint that uses it.
    """
    source = iter(items)
    if not (first := _taken(source, batch_size)):
        return
    with torch.inference_mode(False), torch.no_grad():
        slots = Slots(first, rule, constraint, tolerance)
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
        representation = represent(x)
        loss = objective(representation, slots.target)
        (gradient,) = torch.autograd.grad(loss.sum(), x)
    loss, gradient = loss.detach(), gradient.contiguous()
    error = loss
    if objective is not relative_error:
        error = relative_error(representation.detach(), slots.target)
    slots.note(error, gradient)
    moved = slots.rule.step(slots.x, loss, gradient, slots.state, slots.constraint.free)
    slots.x = slots.constraint.project(moved, slots.origin)
    slots.ages = [age + 1 for age in slots.ages]


def _last_look(represent: Represent, slots: Slots, passes: int) -> None:
    """The iterate after the last step counts too, as in the original."""
    error = relative_error(represent(slots.x), slots.target)
    slots.note_last(error, [age >= passes for age in slots.ages])


def _taken(source: Iterator[Item | None], most: int) -> list[Item]:
    return [item for item in islice(source, most) if item is not None]


def _ended(slots: Slots, ended: list[int], source: Iterator[Item | None]) -> Iterator[Inverted]:
    """What came of the slots that ended; then new items take their place, or the batch becomes
    smaller.
    """
    with torch.inference_mode(False), torch.no_grad():
        inverted = slots.take(ended)
    yield from inverted
    new = _taken(source, len(ended))
    with torch.inference_mode(False), torch.no_grad():
        if new:
            slots.refill(ended[: len(new)], new)
        if empty := set(ended[len(new) :]):
            slots.keep([i for i in range(len(slots.keys)) if i not in empty])
