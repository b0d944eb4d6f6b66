"""Freezing a network while it is used, and restoring it afterwards bit for bit."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from weakref import WeakKeyDictionary

import torch
from torch import nn

from stir_hf.models.run.attributes import Attributes
from stir_hf.models.run.modes import Modes, mark
from stir_hf.models.run.precision import usual_default
from stir_hf.models.run.settings import Settings


class _Frozen:
    """The state of a network before it was frozen, and the number of its current users."""

    def __init__(self, module: nn.Module) -> None:
        self.users = 0
        self.parts = {id(part) for part in module.modules()}
        self._attributes, self._settings = Attributes(module), Settings(module)
        self._modes = Modes(module)
        self._wanted = [
            (m, name, parameter.requires_grad)
            for m in module.modules()
            for name, parameter in m._parameters.items()
            if parameter is not None
        ]
        self._buffers = [
            (m, name, buffer, buffer.clone())
            for m in module.modules()
            for name, buffer in m._buffers.items()
            if buffer is not None
        ]
        self._modes.set_eval()
        self._settings.set()
        for parameter in module.parameters():
            _require_grad(parameter, False)

    def restore(self) -> None:
        self._modes.restore()
        self._attributes.restore()
        self._settings.restore()
        for m, name, want in self._wanted:
            parameter = dict(m._parameters.items()).get(name)  # another object in a spread network
            if parameter is not None and parameter.requires_grad != want:
                _require_grad(parameter, want)
        for module, name, buffer, before in self._buffers:
            if not buffer.is_meta and not torch.equal(buffer, before):
                with mark(buffer):
                    buffer.copy_(before)
            module._buffers[name] = buffer


def _require_grad(parameter: nn.Parameter, want: bool) -> None:
    with mark(parameter):
        parameter.requires_grad_(want)


_FREEZING = threading.RLock()
_LOCKS: "WeakKeyDictionary[nn.Module, threading.RLock]" = WeakKeyDictionary()
_FROZEN: dict[int, _Frozen] = {}
"""Frozen networks by the id of their outermost module, which the entry keeps alive."""


def _restore_unused() -> None:
    """Restore the networks without users, the latest first; a network that shares modules with one
    that was frozen later is restored after that.
    """
    later: list[_Frozen] = []
    for key, state in reversed(list(_FROZEN.items())):
        if state.users or any(state.parts & other.parts for other in later):
            later.append(state)
        else:
            del _FROZEN[key]
            state.restore()


def lock_of(module: nn.Module) -> "threading.RLock":
    """The lock that a pass of a network holds: threads take turns, since modules may have state."""
    with _FREEZING:
        return _LOCKS.setdefault(module, threading.RLock())


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """A context in which the network is in eval mode and without weight gradients; when its last
    user leaves, its former state is restored.
    """
    with _FREEZING, torch.inference_mode(False), torch.no_grad():
        state = _FROZEN.get(id(module)) or _Frozen(module)
        _FROZEN[id(module)] = state
        state.users += 1
    try:
        yield
    finally:
        with _FREEZING, torch.inference_mode(False), torch.no_grad():
            state.users -= 1
            _restore_unused()


@contextmanager
def turn(module: nn.Module, device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    """A context for one pass of a network: threads take turns, and autocast and the default dtype
    of the caller or another library have no effect.
    """
    with lock_of(module), ExitStack() as stack:
        if torch.is_autocast_enabled(device.type):
            stack.enter_context(torch.autocast(device.type, enabled=False))
        stack.enter_context(usual_default(dtype))
        yield
