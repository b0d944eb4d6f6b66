"""Watching one forward pass: its modules in their order, with their inputs and outputs."""

from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from threading import get_ident
from typing import Any

import torch
from torch import Tensor, nn

from stir_hf.inputs.base import Kind
from stir_hf.models.network import Network
from stir_hf.models.preprocessing import LEAST_BATCH, prepare
from stir_hf.models.read.following import Following, tensors_of
from stir_hf.models.run.frozen import frozen, turn
from stir_hf.models.run.precision import float32_precision


@dataclass(eq=False)
class Seen:
    """A tensor at a moment of the pass; later operations may write into it."""

    tensor: Tensor
    kept: Tensor | None
    """A copy of the values, if requested."""
    version: int = field(init=False)

    def __post_init__(self) -> None:
        self.version = _version(self.tensor)

    def same(self, other: "Tensor | Seen | None") -> bool:
        """Return whether the other is the same tensor, and was not written to in between."""
        if isinstance(other, Seen):
            return self.tensor is other.tensor and self.version == other.version
        if other is not None and other.device != self.tensor.device:  # accelerate moved it
            alike = other.shape == self.tensor.shape and self.unchanged
            return alike and torch.equal(self.tensor.to(other.device), other)
        return self.tensor is other and self.unchanged

    @property
    def unchanged(self) -> bool:
        """Return whether the tensor still has the same values."""
        return _version(self.tensor) == self.version

    @property
    def value(self) -> Tensor | None:
        """The values at that moment; None if they were overwritten and not copied."""
        return self.kept if self.kept is not None else self.tensor if self.unchanged else None


def _version(tensor: Tensor) -> int:
    """The number of writes to a tensor; 0 in inference mode, where torch does not count them."""
    return 0 if tensor.is_inference() else tensor._version


@dataclass(eq=False)
class Call:
    """One call of one module."""

    name: str
    module: nn.Module
    number: int
    """The number of earlier calls of this module in the pass."""
    given: Seen | None
    """The first tensor among its arguments."""
    started: int
    """The number of calls that had started before this one."""
    gave: Seen | None = None
    """The first tensor of its output, if that has the batch axis."""
    shape: tuple[int, ...] | None = None
    """The shape of the first tensor of its output."""
    result: Any = None
    """Its output, for a module with a configuration."""
    ended: int = 0
    """The number of calls that had started when this one ended."""

    @property
    def is_leaf(self) -> bool:
        """Return whether the module has no submodules."""
        return not any(self.module.children())


@dataclass(eq=False)
class Trace:
    """The record of one watched forward pass."""

    rows: int
    """The number of rows of the batch, without padding."""
    axes: Following
    """The axes of its tensors: space or channels."""
    calls: list[Call] = field(default_factory=list)
    """The calls, in the order in which they ended."""
    starts: list[str] = field(default_factory=list)
    """The names of the modules, in the order in which their calls started."""
    result: Any = None
    logits_field: str = "logits"
    """The field of the result that holds the logits."""
    odd: list[Tensor] = field(default_factory=list)
    """Tensors whose first axis has the length of the batch but is another axis."""

    @property
    def fed(self) -> int:
        """The number of inputs of the pass, including padding."""
        return max(self.rows, LEAST_BATCH)

    def has_rows(self, tensor: Tensor | None) -> bool:
        """Return whether a tensor is given and its first axis is that of the batch."""
        if tensor is None or tensor.ndim < 2 or len(tensor) != self.fed:
            return False
        if self.axes.is_other_first(tensor):
            return False
        return not any(tensor is one for one in self.odd)

    @property
    def logits(self) -> Tensor | None:
        """The logits of the result, if any."""
        logits = getattr(self.result, self.logits_field, None)
        return logits if isinstance(logits, Tensor) else None

    @property
    def classifies(self) -> bool:
        """Return whether the logits are those of a classifier: one vector per input, perhaps as a
        sequence of length one, and not one per pixel or query.
        """
        shape = () if self.logits is None else self.logits.shape[1:]
        return len(shape) == 1 or (len(shape) == 2 and shape[0] == 1)

    def giver(self, tensor: "Tensor | Seen | None") -> Call | None:
        """The first call whose output is this tensor."""
        if tensor is None:
            return None
        calls = (c for c in self.calls if c.name and c.gave is not None and c.gave.same(tensor))
        return next(calls, None)

    def of(self, name: str) -> list[Call]:
        """The calls of a module whose output has the batch axis, in order."""
        found = [call for call in self.calls if call.name == name and call.gave is not None]
        return sorted(found, key=lambda call: call.number)


def first_tensor(value: Any) -> Tensor | None:
    """The first tensor of a module's output, which may be a tuple or a dictionary."""
    return next(tensors_of(value), None)


class _Watch:
    """The hooks that record a trace."""

    def __init__(self, seen: Trace, keep: str | None) -> None:
        self.seen, self.keep, self.thread = seen, keep, get_ident()
        self.start()

    def start(self) -> None:
        """Clear the record."""
        self.numbers: Counter[str] = Counter()
        self.open: list[Call] = []
        self.seen.calls, self.seen.starts = [], []

    def note(self, name: str, tensor: Tensor | None) -> Seen | None:
        if tensor is None or not self.seen.has_rows(tensor):
            return None
        return Seen(tensor, tensor.clone() if name == self.keep else None)

    def before(
        self, name: str, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        if get_ident() != self.thread:  # another thread's pass of the same network
            return
        if not name:  # the network itself, perhaps after a failed pass
            self.start()
        given = self.note(name, first_tensor((args, kwargs)))
        number, started = self.numbers[name], len(self.seen.starts)
        self.open.append(Call(name, module, number, given, started))
        self.numbers[name] += 1
        self.seen.starts.append(name)

    def after(self, name: str, _: nn.Module, __: tuple[Any, ...], output: Any) -> None:
        if get_ident() != self.thread:
            return
        call = self.open.pop()
        while call.name != name:  # an inner call that failed and was caught by the network
            call = self.open.pop()
        tensor = first_tensor(output)
        call.gave, call.ended = self.note(name, tensor), len(self.seen.starts)
        call.shape = None if tensor is None else tuple(tensor.shape)
        call.result = output if hasattr(call.module, "config") else None
        self.seen.calls.append(call)


def trace(network: Network, kind: Kind, keep: str | None = None) -> Trace:
    """Watch one forward pass of the probe. The inputs and outputs of the module `keep` are copied,
    in case they are overwritten later.

    Raises:
        RequestError: the network does not take such inputs.
    """
    alone = turn(network.module, network.device, network.dtype)
    with torch.inference_mode(False), torch.no_grad(), frozen(network.module), alone:
        probe = network.probe(kind)
        seen = _watched(network, probe, kind, keep)
        tensors = [*tensors_of(seen.result), *(c.gave.tensor for c in seen.calls if c.gave)]
        if any(t.ndim > 2 and t.shape[1] == seen.fed for t in tensors if seen.has_rows(t)):
            more = probe.repeat(seen.fed, *(1 for _ in kind.shape))
            _tell_apart(seen, _watched(network, more[: seen.fed + 1], kind, None))
    return seen


def _watched(network: Network, probe: Tensor, kind: Kind, keep: str | None) -> Trace:
    """One watched pass of a frozen network."""
    with network.taking(kind), float32_precision(tf32=False):
        inputs = prepare(probe, network.preprocessing, network.arithmetic(), network.dtype)
    axes = Following(inputs, network.preprocessing.axes)
    seen = Trace(len(probe), axes, logits_field=network.family.logits)
    watch = _Watch(seen, keep)
    handles = []
    try:
        for name, module in network.module.named_modules():
            if isinstance(module, torch.jit.ScriptModule):
                continue  # it takes no hooks, but its result can be read
            before, after = partial(watch.before, name), partial(watch.after, name)
            handles.append(module.register_forward_pre_hook(before, with_kwargs=True))
            handles.append(module.register_forward_hook(after))
        with network.taking(kind), float32_precision(tf32=False), axes:
            seen.result = network.feed_first(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return seen


def _tell_apart(seen: Trace, other: Trace) -> None:
    """Find tensors without the axis of the batch, by a pass with another batch size."""
    given, gave = (
        {(c.name, c.number) for c in other.calls if getattr(c, at) is not None}
        for at in ("given", "gave")
    )
    pairs = zip(tensors_of(seen.result), tensors_of(other.result), strict=False)
    seen.odd = [one for one, two in pairs if seen.has_rows(one) and not other.has_rows(two)]
    for call in seen.calls:
        if call.gave is not None and (call.name, call.number) not in gave:
            seen.odd.append(call.gave.tensor)
            call.gave = None
        if call.given is not None and (call.name, call.number) not in given:
            call.given = None
