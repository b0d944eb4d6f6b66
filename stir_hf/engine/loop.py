"""The loop: a full batch of images descends together, each stops by itself, and others take its place."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from stir_hf.engine.objectives import relative_error
from stir_hf.engine.rules import Rule, State

Represent = Callable[[Tensor], Tensor]
"""Images (b, c, h, w) in [0, 1] to representations (b, d), differentiable."""

STOP_MARGIN = 0.9
"""An image stops at this share of the tolerance, which leaves room for what rounding it to 8 bits adds to its error."""


@dataclass(frozen=True)
class Item:
    """One inversion to be made: `start` (c, h, w), `target` (d,), and a key to know it by."""

    key: tuple[int, int]
    start: Tensor
    target: Tensor


@dataclass(frozen=True)
class Inverted:
    """One inversion made: the best iterate (c, h, w), in [0, 1], and the passes it took."""

    key: tuple[int, int]
    image: Tensor
    passes: int


@dataclass(frozen=True)
class Watch:
    """What a progress bar can show: images in flight, their mean best error so far."""

    active: int
    error: float


_PER_IMAGE = ("x", "target", "best", "best_error", "passes")


@dataclass
class _Batch:
    """The images in flight. Every tensor has the image as its first axis."""

    keys: list[tuple[int, int]]
    x: Tensor
    target: Tensor
    best: Tensor
    best_error: Tensor
    passes: Tensor
    state: State

    @classmethod
    def of(cls, items: list[Item], rule: Rule) -> "_Batch":
        x, state = rule.begin(torch.stack([item.start for item in items]))
        target = torch.stack([item.target for item in items])
        n = len(items)
        error = target.new_full((n,), torch.inf)
        passes = torch.zeros(n, dtype=torch.long, device=x.device)
        return cls([item.key for item in items], x, target, x.clone(), error, passes, state)

    def rows(self, keep: Tensor) -> "_Batch":
        kept = keep.tolist()
        state = {name: t[keep] for name, t in self.state.items()}
        tensors = {name: getattr(self, name)[keep] for name in _PER_IMAGE}
        return _Batch([self.keys[i] for i in kept], state=state, **tensors)

    def joined(self, other: "_Batch") -> "_Batch":
        state = {name: torch.cat((t, other.state[name])) for name, t in self.state.items()}
        tensors = {
            name: torch.cat((getattr(self, name), getattr(other, name))) for name in _PER_IMAGE
        }
        return _Batch(self.keys + other.keys, state=state, **tensors)

    def remember(self, error: Tensor, enough: float) -> None:
        """Keep this iterate where it is the best, unless an earlier one was good enough."""
        better = (error < self.best_error) & (self.best_error > enough)
        self.best_error = torch.where(better, error, self.best_error)
        self.best.lerp_(
            self.x, better.to(self.x.dtype)[:, None, None, None]
        )  # a weight of 0 or 1 is exact


def descend(
    represent: Represent,
    items: Iterator[Item],
    rule: Rule,
    *,
    passes: int,
    tolerance: float,
    batch_size: int,
    watch: Callable[[Watch], None] | None = None,
) -> Iterator[Inverted]:
    """Invert each item, in batches that are kept full; yields them as they finish, in no particular order.

    An image takes at most `passes` passes and, under a rule that stops, ends with its first iterate at or below 0.9 of the
    tolerance. The outcome of an image does not depend on which others share its batch: losses are summed over
    images, and the host looks at the errors only every 5 passes (CPU) or 25 (GPU), which changes nothing in what is kept.

    Raises:
        FloatingPointError: the representation or the gradient of some image is not finite.
    """
    enough = STOP_MARGIN * tolerance if rule.stops else -1.0
    batch: _Batch | None = None
    while True:
        room = batch_size - (len(batch.keys) if batch else 0)
        if new := list(islice(items, room)):
            fresh = _Batch.of(new, rule)
            batch = batch.joined(fresh) if batch else fresh
        if batch is None:
            return
        every = 5 if batch.x.device.type == "cpu" else 25
        left = passes - int(batch.passes.max())
        _run(represent, batch, rule, enough, min(every, left), last=left <= every)
        done = (batch.passes >= passes) | (batch.best_error <= enough)
        if watch:
            watch(Watch(len(batch.keys), float(batch.best_error.mean())))
        yield from _finished(batch, done)
        batch = batch.rows((~done).nonzero()[:, 0]) if bool((~done).any()) else None


def _run(
    represent: Represent, batch: _Batch, rule: Rule, enough: float, passes: int, *, last: bool
) -> None:
    """`passes` passes without looking at any value on the host, then a look at whether all was finite.

    `last`: some image has no passes left, so that the iterates after the last step are evaluated too.
    """
    for _ in range(passes):
        x = batch.x.requires_grad_(True)
        error = relative_error(represent(x), batch.target)
        (gradient,) = torch.autograd.grad(error.sum(), x)
        batch.x, error = x.detach(), error.detach()
        batch.remember(error, enough)
        batch.x = rule.step(batch.x, error, gradient, batch.state)
    batch.passes += passes
    if last:
        with torch.no_grad():  # the last iterate counts too, as in the original
            batch.remember(relative_error(represent(batch.x), batch.target), enough)
    if not bool(
        (error.sum() + batch.x.sum()).isfinite()
    ):  # a value that was not finite has spread and stays
        raise FloatingPointError("the representation or its gradient is not finite")


def _finished(batch: _Batch, done: Tensor) -> Iterator[Inverted]:
    for i in done.nonzero()[:, 0].tolist():
        yield Inverted(batch.keys[i], batch.best[i].clamp(0, 1), int(batch.passes[i]))
