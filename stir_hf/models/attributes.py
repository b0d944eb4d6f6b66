"""What a pass leaves in the modules of a network beside parameters and buffers, taken out again.

The first pass that is asked for hidden states makes `transformers` install hooks for good,
functions that cannot be pickled, and mark the model (`transformers.utils.output_capturing`); some
networks keep what they computed (LeViT its attention biases).
"""

from typing import Any

from torch import nn

_CAPTURING = "transformers.utils.output_capturing"


class Attributes:
    """The attributes of all modules at this moment, and the hooks."""

    def __init__(self, module: nn.Module) -> None:
        self._modules = [(m, set(m._forward_hooks), dict(vars(m))) for m in module.modules()]
        self._held = [
            (value, dict(value))
            for _, _, attributes in self._modules
            for name, value in attributes.items()
            if type(value) is dict and not name.startswith("_")  # torch's own begin so
        ]

    def restore(self) -> None:
        """Take out what came since: capturing hooks and attributes, entries of dictionaries."""
        for module, hooks, attributes in self._modules:
            for key, hook in list(module._forward_hooks.items()):
                if key not in hooks and getattr(hook, "__module__", "") == _CAPTURING:
                    del module._forward_hooks[key]
            _put_back(vars(module), attributes)
        for value, before in self._held:
            _put_back(value, before)


def _put_back(held: dict[Any, Any], before: dict[Any, Any]) -> None:
    for name in [name for name in held if name not in before]:
        del held[name]
    for name, value in before.items():
        if name not in held or held[name] is not value:
            held[name] = value
