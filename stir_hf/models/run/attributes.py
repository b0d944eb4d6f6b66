"""Removal of the attributes and hooks that a pass leaves in the modules of `transformers`.

The first pass with hidden states makes `transformers` install permanent hooks, which cannot be
pickled, and mark the model (`transformers.utils.output_capturing`); some of its networks cache
results (LeViT its attention biases). Modules of other classes keep whatever they build or cache.
"""

from typing import Any

from torch import nn

_CAPTURING = "transformers.utils.output_capturing"
_MARK = "_output_capturing_hooks_installed"


class Attributes:
    """A snapshot of the attributes of modules of `transformers`, and of the hooks of all."""

    def __init__(self, module: nn.Module) -> None:
        self._hooks = [(m, set(m._forward_hooks), _MARK in vars(m)) for m in module.modules()]
        theirs = (m for m in module.modules() if type(m).__module__.startswith("transformers."))
        self._attributes = [(vars(m), dict(vars(m))) for m in theirs]
        self._held = [
            (value, dict(value))
            for _, attributes in self._attributes
            for name, value in attributes.items()
            if type(value) is dict and not name.startswith("_")  # torch's own names begin like this
        ]

    def restore(self) -> None:
        """Restore the snapshot: remove new capturing hooks and their mark, and restore attributes
        and dictionaries of the modules of `transformers`.
        """
        for module, hooks, marked in self._hooks:
            for key, hook in list(module._forward_hooks.items()):
                if key not in hooks and getattr(hook, "__module__", "") == _CAPTURING:
                    del module._forward_hooks[key]
            if not marked:
                vars(module).pop(_MARK, None)
        for held, before in (*self._attributes, *self._held):
            _put_back(held, before)


def _put_back(held: dict[Any, Any], before: dict[Any, Any]) -> None:
    for name in [name for name in held if name not in before]:
        del held[name]
    for name, value in before.items():
        if name not in held or held[name] is not value:
            held[name] = value
