"""Evaluation mode, and the modules afterwards as they were, bit for bit."""

from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from stir_hf.errors import RequestError


def mark(tensor: Tensor) -> AbstractContextManager[None]:
    """Around a change of a tensor in place: one that was made in inference mode can be changed
    nowhere else.
    """
    return torch.inference_mode(tensor.is_inference())


class Modes:
    """The modes of all modules of a network.

    Some classes do more than set a flag when they are put into evaluation mode, such as merging an
    adapter into a weight. What that changes is noted, and put back.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._modes = [(m, m.training) for m in module.modules() if hasattr(m, "training")]
        self._changed: list[_State] = []

    def set_eval(self) -> None:
        """Put all modules into evaluation mode; a network that is in it already is left alone.

        Raises:
            RequestError: a module that has no modes.
        """
        if not any(mode for _, mode in self._modes):
            return
        switching = [m for m in self._module.modules() if _switches(m)]
        parts = dict.fromkeys(part for m in switching for part in m.modules())
        states = [_State(part) for part in parts]
        try:
            self._module.eval()
        except NotImplementedError as error:
            kind = type(self._module).__name__
            raise RequestError(
                f"{kind} was exported and cannot be put into evaluation mode; give the module that"
                " it was exported from"
            ) from error
        self._changed = [state for state in states if state.changes()]

    def restore(self) -> None:
        """Give all modules their modes, and what evaluation mode changed."""
        for state in self._changed:
            state.restore()
        for module, mode in self._modes:
            module.training = mode


def _switches(module: nn.Module) -> bool:
    """Return whether a module does something of its own when its mode is set; the classes of
    `transformers` leave weights alone.
    """
    setters = (getattr(module, name) for name in ("train", "eval"))
    return not all(setter.__module__.startswith(("torch.", "transformers.")) for setter in setters)


_TABLES = ("_parameters", "_buffers", "_modules")
_APART = (*_TABLES, "training")


class _State:
    """All that a module held at a moment."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._attributes = {n: v for n, v in vars(module).items() if n not in _APART}
        self._tables = {name: dict(getattr(module, name)) for name in _TABLES}
        tensors = (*module._parameters.values(), *module._buffers.values())
        self._values = [
            (tensor, tensor.detach(), tensor.detach().clone())
            for tensor in tensors
            if tensor is not None and not tensor.is_meta
        ]

    def changes(self) -> bool:
        """Return whether the module holds something else now; drop copies of all that is the same."""
        self._values = [one for one in self._values if not _same(*one)]
        now: dict[str, Any] = vars(self._module)
        attributes = any(now.get(n, self) is not v for n, v in self._attributes.items())
        tables = any(_other(getattr(self._module, n), table) for n, table in self._tables.items())
        self._added = set(now) - set(self._attributes) - set(_APART)
        return bool(self._values or attributes or tables or self._added)

    def restore(self) -> None:
        """Give the module what it held."""
        for name, table in self._tables.items():
            held = getattr(self._module, name)
            held.clear()
            held.update(table)
        for tensor, place, value in self._values:
            with mark(tensor):
                tensor.data = place.copy_(value)
        for name in self._added:
            vars(self._module).pop(name, None)
        vars(self._module).update(self._attributes)


def _same(tensor: Tensor, place: Tensor, value: Tensor) -> bool:
    return tensor.data_ptr() == place.data_ptr() and torch.equal(tensor, value)


def _other(now: dict[str, Any], before: dict[str, Any]) -> bool:
    return list(now) != list(before) or any(now[n] is not v for n, v in before.items())
