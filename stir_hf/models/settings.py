"""Settings of a configuration that change what a pass gives, set for as long as a network is used
and put back afterwards.
"""

from collections.abc import Iterator
from typing import Any

from torch import nn

from stir_hf.models.calling import runs_own_code

_FOR_A_PASS = {"return_dict": True, "output_hidden_states": False, "_output_attentions": False}
"""By their names in a configuration: what a network of `transformers` runs with."""


class Settings:
    """The settings of all configurations of a network of a class of `transformers`.

    A class of the user's own reads its configuration as it is: its code may count on that.
    """

    def __init__(self, module: nn.Module) -> None:
        self._before = [
            (config, name, vars(config)[name])
            for config in _configurations(module)
            for name, value in _FOR_A_PASS.items()
            if vars(config).get(name, value) != value
        ]

    def set(self) -> None:
        """Give them the values that a pass needs."""
        for config, name, _ in self._before:
            config.__dict__[name] = _FOR_A_PASS[name]  # its setters check and convert

    def restore(self) -> None:
        """Give them back as they were."""
        for config, name, value in self._before:
            config.__dict__[name] = value


def _configurations(module: nn.Module) -> list[Any]:
    """The configurations of a network's modules and those inside of them, each once."""
    if runs_own_code(module):
        return []
    found: dict[int, Any] = {}
    for part in module.modules():
        for config in _with_inner(getattr(part, "config", None)):
            found.setdefault(id(config), config)
    return list(found.values())


def _with_inner(config: Any) -> Iterator[Any]:
    from transformers import PretrainedConfig

    if isinstance(config, PretrainedConfig):
        yield config
        for inner in vars(config).values():
            yield from _with_inner(inner)
