"""The descent: a batch of rows is updated together; the next takes the place of one that stops."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from stir_hf.engine.ledger import Noted
from stir_hf.engine.objectives import Seen, relative_error
from stir_hf.engine.objectives.terms import distance_from
from stir_hf.engine.plan import Plan, Represent
from stir_hf.engine.restarts import EVERY
from stir_hf.engine.slots import Inverted, Item, Slots

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
    """(b, …): their best inputs, which the next pass changes."""


def descend(
    represent: Represent,
    items: Iterable[Item | None],
    plan: Plan,
    *,
    batch_size: int,
    watch: Callable[[Watch], None] | None = None,
) -> Iterator[Inverted]:
    """Invert each item in a batch that is kept full, and yield inversions as they finish, in no
    particular order.

    A row takes at most `plan.passes` passes (one forward and one backward each) from each start. If
    rule and objective allow it, it ends with its first iterate whose relative error is at or below
    0.9 of the tolerance. A row with a representation, gradient or iterate that is not finite ends
    without affecting others.

    The result of a row does not depend on the others in its batch: the objective is summed over
    rows, and the best iterate is chosen in every pass, although the host reads the errors only
    every 5 passes (CPU) or 25 passes (elsewhere).

    Args:
        represent: the map to invert. Gradients are enabled here, even if the caller disabled them.
        items: the inversions to make, taken as slots become free; None leaves a slot empty.
        plan: what is done with every row.
        batch_size: maximum number of rows at a time.
        watch: function that is called after each read of the errors.

    Raises:
        ValueError: an item without an origin, under a constraint that uses it, or no axis of space
            for a rule that needs one.
    """
    if plan.rule.needs_space and not plan.domain.space:
        raise ValueError(f"{type(plan.rule).__name__} filters along space; give its axes")
    networks, passes = (represent, *plan.others), plan.passes
    source = iter(items)
    if not (first := _taken(source, batch_size)):
        return
    with torch.inference_mode(False), torch.no_grad():
        slots = Slots(first, plan)
    every = LOOK_EVERY if slots.ledger.on_host else LOOK_EVERY_ELSEWHERE
    while slots.items:
        left = passes - max(slots.ages)
        until = min(every, left, *_until_marks(slots))
        with torch.inference_mode(False), torch.no_grad():
            for _ in range(until):
                _pass(networks, slots)
            slots.settle()
            if until == left:  # the iterates after the last step count too, as in the original
                slots.note_last(_look(networks, slots, slots.x), [a >= passes for a in slots.ages])
        searching = slots.ledger.searching().tolist()
        if watch:
            count = len(slots.items)
            made, mean = count * until, slots.ledger.mean_error()
            watch(Watch(count, mean, made, tuple(slots.keys), slots.best_inputs()))
        ended = [i for i, age in enumerate(slots.ages) if age >= passes or not searching[i]]
        if plan.restarts.starts > 1:
            ended = _restarted(slots, ended, searching)
        if ended:
            yield from _ended(slots, ended, source)


def _look(networks: Sequence[Represent], slots: Slots, unknowns: Tensor) -> Noted:
    """The losses and errors (b,) of unknowns (b, …)."""
    plan = slots.plan
    x = plan.domain.inputs(unknowns)
    seen = tuple(network(x, slots.context) for network in networks)
    error = relative_error(seen[0], slots.targets[0])
    view = Seen(x, error, seen, slots.targets, plan.domain)
    loss = plan.objective.loss(view)
    if plan.diverse and slots.earlier is not None:
        loss = loss - plan.diverse * distance_from(x, slots.earlier)
    return loss, plan.objective.left(view), error


def _pass(networks: Sequence[Represent], slots: Slots) -> None:
    """Run one pass of the whole batch, without reading values from an accelerator."""
    x = slots.x.detach().requires_grad_(True)
    with torch.enable_grad():
        values = _look(networks, slots, x)
        (gradient,) = torch.autograd.grad(values[0].sum(), x)
    gradient = gradient.contiguous()
    found = {id(one): one.detach() for one in values}
    loss, left, error = (found[id(one)] for one in values)
    slots.note((loss, left, error), gradient)
    domain, centre = slots.domain, slots.centre
    moved = slots.rule.step(slots.x, loss, gradient, slots.state, domain, centre)
    slots.x = domain.project(moved, centre)
    slots.ages = [age + 1 for age in slots.ages]


def _until_marks(slots: Slots) -> Iterator[int]:
    """The passes of each row until it is next looked at for a stall, if it is."""
    if slots.plan.restarts.when_stalled:
        yield from (EVERY - age % EVERY for age in slots.ages)


def _restarted(slots: Slots, ended: list[int], searching: list[bool]) -> list[int]:
    """Restart the rows that may start anew, and return the other ones that ended."""
    again, tries, restarts = list[int](), slots.tries, slots.plan.restarts
    if restarts.when_stalled:
        errors = slots.ledger.error.tolist()
        for row, age in enumerate(slots.ages):
            if age % EVERY == 0 and searching[row]:
                if restarts.stalls(errors[row], tries.marks[row]):
                    again.append(row)
                tries.marks[row] = errors[row]
    else:
        enough = (slots.ledger.left <= slots.ledger.enough).tolist()
        again = [row for row in ended if not enough[row]]
    most = restarts.starts - 1
    again = [r for r in again if tries.started[r] < most and slots.items[r].again is not None]
    if again:
        with torch.inference_mode(False), torch.no_grad():
            slots.restart(again)
    return [row for row in ended if row not in again]


def _taken(source: Iterator[Item | None], most: int) -> list[Item]:
    return [item for item in islice(source, most) if item is not None]


def _ended(slots: Slots, ended: list[int], source: Iterator[Item | None]) -> Iterator[Inverted]:
    """Yield the inversions in slots that ended; then refill the slots, or drop them."""
    items = [slots.items[row] for row in ended]
    with torch.inference_mode(False), torch.no_grad():
        inverted = slots.take(ended)
    yield from inverted
    new = [
        item.then(result.value if result.finite else None)
        for item, result in zip(items, inverted, strict=True)
        if item.then is not None
    ]
    new += _taken(source, len(ended) - len(new))
    with torch.inference_mode(False), torch.no_grad():
        if new:
            slots.refill(ended[: len(new)], new)
        if empty := set(ended[len(new) :]):
            slots.keep([i for i in range(len(slots.items)) if i not in empty])
