"""Evaluation mode, and restoring the modules afterwards bit for bit."""

from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from stir_hf.errors import RequestError


def mark(tensor: Tensor) -> AbstractContextManager[None]:
    """A context for changing a tensor in place, which may be made in inference mode."""
    return torch.inference_mode(tensor.is_inference())


class Modes:
    """The modes of all modules of a network.

    Some classes do more than set a flag when they are put into evaluation mode, such as merging an
    adapter into a weight. Such changes are recorded and undone.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._modes = [(m, m.training) for m in module.modules() if hasattr(m, "training")]
        self._changed: list[_State] = []

    def set_eval(self) -> None:
        """Put all modules into evaluation mode, unless they already are.

        Raises:
            RequestError: a module without modes, or one that evaluation mode changes in a way that
                cannot be undone.
        """
        if not any(mode for _, mode in self._modes):
            return
        switches = any(_switches(m) for m in self._module.modules())
        states = [_State(part) for part in self._module.modules()] if switches else []
        self._eval()
        self._changed = [state for state in states if state.changes()]
        if self._changed:
            self._check_again()

    def _eval(self) -> None:
        try:
            self._module.eval()
        except NotImplementedError as error:
            kind = type(self._module).__name__
            raise RequestError(
                f"{kind} was exported, or holds a module that was, and cannot be put into"
                " evaluation mode; give the module that it was exported from"
            ) from error

    def _check_again(self) -> None:
        """Check that evaluation mode changes the network in the same way after it was restored."""
        first = {name: value.clone() for name, value in self._module.state_dict().items()}
        self.restore()
        self._eval()
        again = self._module.state_dict()
        if list(first) == list(again) and all(torch.equal(first[n], v) for n, v in again.items()):
            return
        self.restore()
        raise RequestError(
            f"{type(self._module).__name__} changes more than its mode in eval(), which cannot be"
            " undone; give it in evaluation mode: model.eval()"
        )

    def restore(self) -> None:
        """Restore the modes of all modules, and everything that evaluation mode changed."""
        if self._changed:
            self._leave_eval()
        for state in self._changed:
            state.restore()
        for module, mode in self._modes:
            module.training = mode

    def _leave_eval(self) -> None:
        """Put modules back into training mode, so that they undo what their own `eval` has done."""
        inside: set[int] = set()
        for module, mode in self._modes:
            if mode and id(module) not in inside:
                inside |= {id(part) for part in module.modules()}
                module.train()


def _switches(module: nn.Module) -> bool:
    """Return whether a module may do more than set a flag when its mode is set."""
    setters = (getattr(module, name) for name in ("train", "eval"))
    return not all(setter.__module__.startswith(("torch.", "transformers.")) for setter in setters)


class _State:
    """The complete state of a module at a moment."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._attributes = {n: v for n, v in vars(module).items() if n != "training"}
        containers = [v for v in self._attributes.values() if isinstance(v, list | dict | set)]
        self._held = [(v, _items(v)) for v in containers]
        tensors = (*module._parameters.values(), *module._buffers.values())
        self._values = [
            (tensor, tensor.detach(), tensor.detach().clone())
            for tensor in tensors
            if tensor is not None and not tensor.is_meta
        ]

    def changes(self) -> bool:
        """Return whether the state has changed since; copies of unchanged values are dropped."""
        self._values = [one for one in self._values if not _same(*one)]
        now = {n: v for n, v in vars(self._module).items() if n != "training"}
        same = _same_items(now, self._attributes)
        items = all(_same_items(_items(value), before) for value, before in self._held)
        return bool(self._values) or not (same and items)

    def restore(self) -> None:
        """Restore the state."""
        now = vars(self._module)
        for name in [name for name in now if name not in self._attributes and name != "training"]:
            del now[name]
        now.update(self._attributes)
        for value, before in self._held:
            value.clear()
            (value.extend if isinstance(value, list) else value.update)(before)
        for tensor, place, values in self._values:
            with mark(tensor):
                tensor.data = place.copy_(values)


def _same(tensor: Tensor, place: Tensor, values: Tensor) -> bool:
    return tensor.data_ptr() == place.data_ptr() and torch.equal(tensor, values)


def _items(value: Any) -> Any:
    """A copy of the items of a container, such as parameters, submodules or hooks."""
    return dict(value) if isinstance(value, dict) else list(value)


def _same_items(one: Any, two: Any) -> bool:
    if isinstance(one, dict):
        return list(one) == list(two) and all(one[key] is two[key] for key in one)
    return len(one) == len(two) and all(a is b for a, b in zip(one, two, strict=True))
