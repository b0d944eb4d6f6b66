"""What a pass leaves in the modules of `transformers` beside parameters and buffers, taken out
again.

The first pass that is asked for hidden states makes `transformers` install hooks for good,
functions that cannot be pickled, and mark the model (`transformers.utils.output_capturing`); some
of its networks keep what they computed (LeViT its attention biases). What a module of another
class builds or keeps in a pass is its own and stays.
"""

from typing import Any

from torch import nn

_CAPTURING = "transformers.utils.output_capturing"
_MARK = "_output_capturing_hooks_installed"
_THEIRS = "transformers."
"""What the modules of the classes of `transformers` begin with."""


class Attributes:
    """The attributes of all modules of `transformers` at this moment, and the hooks of all."""

    def __init__(self, module: nn.Module) -> None:
        self._hooks = [(m, set(m._forward_hooks), _MARK in vars(m)) for m in module.modules()]
        self._attributes = [(vars(m), dict(vars(m))) for m in module.modules() if _is_theirs(m)]
        self._held = [
            (value, dict(value))
            for _, attributes in self._attributes
            for name, value in attributes.items()
            if type(value) is dict and not name.startswith("_")  # torch's own begin so
        ]

    def restore(self) -> None:
        """Take out what came since: capturing hooks and their mark, and of modules of
        `transformers` attributes and entries of dictionaries.
        """
        for module, hooks, marked in self._hooks:
            for key, hook in list(module._forward_hooks.items()):
                if key not in hooks and getattr(hook, "__module__", "") == _CAPTURING:
                    del module._forward_hooks[key]
            if not marked:
                vars(module).pop(_MARK, None)
        for held, before in (*self._attributes, *self._held):
            _put_back(held, before)


def _is_theirs(module: nn.Module) -> bool:
    return type(module).__module__.startswith(_THEIRS)


def _put_back(held: dict[Any, Any], before: dict[Any, Any]) -> None:
    for name in [name for name in held if name not in before]:
        del held[name]
    for name, value in before.items():
        if name not in held or held[name] is not value:
            held[name] = value
