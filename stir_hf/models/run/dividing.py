"""Passes on a CPU with the rows of a batch divided among threads, each with a copy of the network
that shares its parameters and has buffers and attributes of its own. Small networks gain little
from several threads within each operation.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from threading import Barrier
from typing import Any

import torch
from torch import Tensor

from stir_hf.inputs.base import Kind
from stir_hf.models.preprocessing import LEAST_BATCH
from stir_hf.models.run.folding import foreign_hooks, fused, represents_alike
from stir_hf.models.run.session import Session

Pass = Callable[[Tensor, Mapping[str, Tensor]], Tensor]
"""A differentiable map from inputs (b, *shape) and their context to representations (b, d)."""

SMALL = 3 * 64 * 64
"""Values of the largest input that counts as small."""

COMPILED = ("torch._dynamo.", "torch.jit.")
"""Modules whose passes in several threads are not known to be independent."""


class Divided:
    """A pass whose rows are divided among sessions of copies of one network, each in a thread. A
    batch with fewer than eight rows is not divided.
    """

    def __init__(self, sessions: Sequence[Session], pool: ThreadPoolExecutor) -> None:
        self._sessions, self._pool = sessions, pool

    def __call__(self, values: Tensor, context: Mapping[str, Tensor] | None = None) -> Tensor:
        """Represent inputs (b, *shape) as (b, d); differentiable once in the inputs."""
        count = min(len(self._sessions), len(values) // LEAST_BATCH)
        if count <= 1:
            return self._sessions[0](values, context)
        split = {name: tensor.tensor_split(count) for name, tensor in (context or {}).items()}
        parts = [
            _Part(session, {name: some[i] for name, some in split.items()})
            for i, session in enumerate(self._sessions[:count])
        ]
        wanted = torch.is_grad_enabled() and values.requires_grad
        found: Tensor = _Joined.apply(  # type: ignore[no-untyped-call]  # torch has no types here
            values, parts, self._pool, wanted
        )
        return found


class _Part:
    """Some rows of one pass."""

    def __init__(self, session: Session, context: Mapping[str, Tensor]) -> None:
        self._session, self._context = session, context
        self._pair: tuple[Tensor, Tensor] | None = None

    def represent(self, values: Tensor, differentiable: bool) -> Tensor:
        with torch.set_grad_enabled(differentiable):
            given = values.detach().requires_grad_(differentiable)
            found = self._session(given, self._context)
        self._pair = (given, found) if differentiable else None
        return found.detach()

    def gradient(self, of: Tensor) -> Tensor:
        assert self._pair is not None
        (given, found), self._pair = self._pair, None
        return torch.autograd.grad(found, given, of)[0]


class _Joined(torch.autograd.Function):
    """The parts of a pass, forward and backward, each in a thread."""

    @staticmethod
    def forward(
        ctx: Any, values: Tensor, parts: Sequence[_Part], pool: ThreadPoolExecutor, wanted: bool
    ) -> Tensor:
        """Represent the values (b, *shape), remembering what a wanted gradient takes."""
        some = values.tensor_split(len(parts))
        found = list(pool.map(_Part.represent, parts, some, [wanted] * len(parts)))
        ctx.parts, ctx.pool, ctx.rows = parts, pool, [len(one) for one in found]
        return torch.cat(found)

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> tuple[Tensor, None, None, None]:
        """Return the gradient (b, *shape) of the values."""
        found = list(ctx.pool.map(_Part.gradient, ctx.parts, gradient.split(ctx.rows)))
        return torch.cat(found), None, None, None


@contextmanager
def divided(session: Session, kind: Kind, workers: int) -> Iterator[Pass]:
    """A context with the pass of an open session, its rows divided among so many threads, each with
    its share of torch's threads; the session itself if the network cannot be copied.

    For small inputs the caller's thread keeps one thread of torch's in the context: between two
    passes there is too little work to divide, and threads that wait for more would keep the cores
    from the next pass.
    """
    with ExitStack() as stack:
        sessions = [session]
        for _ in range(workers - 1):
            if (copy := _copied(session, kind)) is None:
                break
            stack.enter_context(copy)
            sessions.append(copy)
        if len(sessions) < max(2, workers):
            yield session
            return
        pool = stack.enter_context(_threads(workers))
        if math.prod(kind.shape) <= SMALL:
            stack.enter_context(_one_thread())
        yield Divided(sessions, pool)


def _copied(session: Session, kind: Kind) -> Session | None:
    """A session of a copy of the network, with the same representation of the probe."""
    network, module = session.network, session.network.module
    if network.is_spread or network.has_quantised_parts or any(foreign_hooks(module)):
        return None
    if any(type(part).__module__.startswith(COMPILED) for part in module.modules()):
        return None
    if (alike := fused(module, [], own_buffers=True)) is None:
        return None
    copy = replace(network, module=alike)
    with suppress(Exception):  # such as a forward that is bound to the network itself
        if represents_alike(session, copy, kind):
            return session.of(copy)
    return None


@contextmanager
def _one_thread() -> Iterator[None]:
    """A context in which the caller's thread uses one of torch's threads."""
    whole = torch.get_num_threads()
    torch.set_num_threads(1)
    # What was set last is what later threads begin with, so it is set once more elsewhere.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(torch.set_num_threads, whole).result()
    try:
        yield
    finally:
        torch.set_num_threads(whole)


@contextmanager
def _threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """A pool of threads that divide torch's threads among them; those of the caller's thread and of
    later threads stay as they are.
    """
    whole = torch.get_num_threads()
    together = Barrier(count)

    def begin() -> None:
        together.wait()  # so that every thread of the pool begins once
        torch.get_num_threads()  # the first call in a thread overwrites what was set before
        torch.set_num_threads(max(1, whole // count))

    with ThreadPoolExecutor(count) as pool:
        try:
            for begun in [pool.submit(begin) for _ in range(count)]:
                begun.result()
        finally:
            torch.set_num_threads(whole)
        yield pool
