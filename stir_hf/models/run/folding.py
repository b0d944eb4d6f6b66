"""Batch normalisation folded into convolutions, on a copy that shares all other weights."""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from types import FunctionType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from stir_hf.inputs.base import Kind
from stir_hf.models.network import Network
from stir_hf.models.read.taps import Tap
from stir_hf.models.read.trace import trace
from stir_hf.models.run.frozen import frozen
from stir_hf.models.run.session import Session

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
"""Normalisations that can be folded, or subclasses that compute the same."""
TOLERANCE = 1e-5
"""Largest relative difference between the representations of the copy and the network."""


class _Readers(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch has no types here
    """Counts the operations that have read each tensor or a view of it, by its storage."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # as above
        self._counts: Counter[int] = Counter()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        given, made = _storages((args, kwargs)), _storages(result)
        self._counts.update(given)
        for new in made - given:
            self._counts[new] = 0  # storage that an earlier tensor may have used
        return result

    def of(self, tensor: Tensor) -> int:
        """The number of operations that have read a tensor, which must still exist."""
        return self._counts[_storage(tensor)]


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _storages(values: Any) -> set[int]:
    return {_storage(value) for value in tree_leaves(values) if isinstance(value, Tensor)}


def folded(session: Session, kind: Kind) -> Network | None:
    """A copy of an open session's network with batch normalisations folded into the convolutions
    before them, as one watched pass over the kind shows; None if there is nothing to fold.

    The copy shares all other weights, and its representation of the probe agrees with the network's
    to 1e-5. Only float32 and float64; networks with hooks of their own are not folded.
    """
    network, module = session.network, session.network.module
    if network.dtype not in (torch.float32, torch.float64) or network.is_spread:
        return None
    if not any(_is(part, NORMS) for part in module.modules()) or any(foreign_hooks(module)):
        return None
    pairs: list[tuple[str, str]] = []
    with suppress(Exception):  # networks that cannot be watched, such as compiled ones
        pairs = foldable(network, session.tap, kind)
    copy = fused(module, pairs) if pairs else None
    if copy is None:
        return None
    other = replace(network, module=copy)
    with suppress(Exception):  # such as a forward that reads the attributes of the normalisation
        if represents_alike(session, other, kind):
            return other
    return None


def represents_alike(session: Session, other: Network, kind: Kind) -> bool:
    """Return whether a copy of a session's network represents the probe like it, to 1e-5."""
    with session.of(other) as quick, torch.no_grad():
        probe = session.network.probe(kind)
        expected, found = session(probe).double(), quick(probe).double()
    near = (found - expected).norm(dim=1) <= TOLERANCE * expected.norm(dim=1)
    return bool(near.all())


def fused(
    module: nn.Module, pairs: list[tuple[str, str]], *, own_buffers: bool = False
) -> nn.Module | None:
    """A copy with these pairs fused that shares all other parameters, and the buffers unless it
    gets its own; None if the network cannot be copied.
    """
    buffers = () if own_buffers else module.buffers()
    shared: dict[int, Any] = {id(t): t for t in (*module.parameters(), *buffers)}
    shared |= {id(own): own for own in map(_owner, _hooks(module)) if own is not None}
    with suppress(Exception), torch.inference_mode(False), torch.no_grad(), frozen(module):
        copy = deepcopy(module, shared)
        for convolution, norm in pairs:
            parts: Any = copy.get_submodule(convolution), copy.get_submodule(norm)
            copy.set_submodule(convolution, fuse_conv_bn_eval(*parts))
            copy.set_submodule(norm, nn.Identity())
        return copy
    return None


def foldable(network: Network, tap: Tap, kind: Kind) -> list[tuple[str, str]]:
    """The pairs (convolution, normalisation) by name in which, according to one watched pass, only
    the normalisation reads the output of the convolution.

    Both run once, the normalisation uses running statistics, and neither is the selected layer.
    """
    with _Readers() as readers:
        seen = trace(network, kind)
    times = Counter(call.name for call in seen.calls)
    given_by = {
        id(call.gave.tensor): call
        for call in seen.calls
        if call.gave is not None and _is(call.module, CONVOLUTIONS)
    }
    pairs = []
    for norm in seen.calls:
        if norm.given is None or not _is(norm.module, NORMS) or norm.module.running_var is None:
            continue
        source, alone = given_by.get(id(norm.given.tensor)), readers.of(norm.given.tensor) == 1
        if source is None or not alone or tap.module in (source.name, norm.name):
            continue
        if times[source.name] == times[norm.name] == 1:
            pairs.append((source.name, norm.name))
    return pairs


def _is(module: nn.Module, classes: tuple[type[nn.Module], ...]) -> bool:
    """Return whether a module computes the same as one of the classes, from its own weights."""
    return any(
        isinstance(module, base)
        and type(module).forward is base.forward
        and getattr(type(module), "_conv_forward", None) is getattr(base, "_conv_forward", None)
        and not set(vars(module)) & {"forward", "_conv_forward"}
        and {"weight", "bias"} <= set(module._parameters)
        for base in classes
    )


def _hooks(module: nn.Module) -> Iterator[Any]:
    for part in module.modules():
        for hooks in (
            part._forward_hooks,
            part._forward_pre_hooks,
            part._backward_hooks,
            part._backward_pre_hooks,
        ):
            yield from hooks.values()


def _owner(hook: Any) -> Session | None:
    """The session that installed a hook, if any."""
    owner = getattr(hook, "__self__", None)
    return owner if isinstance(owner, Session) else None


def foreign_hooks(module: nn.Module) -> Iterator[Any]:
    """Hooks of neither a session nor the collection of hidden states in `transformers`."""
    for hook in _hooks(module):
        collects = isinstance(hook, FunctionType) and hook.__module__.startswith("transformers.")
        if not collects and _owner(hook) is None:
            yield hook
