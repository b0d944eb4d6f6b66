"""Settings of a configuration that change what a pass gives, set for as long as a network is used
and put back afterwards.
"""

from threading import Lock
from typing import Any

from torch import nn

from stir_hf.models.run.calling import runs_own_code

_FOR_A_PASS = {"return_dict": True, "output_hidden_states": False, "_output_attentions": False}
"""By their names in a configuration: what a network of `transformers` runs with."""


class _Held:
    """What a configuration had before the first network that has it began to be used, and how many
    are in use.
    """

    def __init__(self, config: Any) -> None:
        self.config, self.users = config, 0
        self.before = {
            name: vars(config)[name]
            for name, value in _FOR_A_PASS.items()
            if vars(config).get(name, value) != value
        }


_lock = Lock()
_held: dict[int, _Held] = {}
"""By the identity of a configuration, which several networks may have."""


class Settings:
    """The settings of all configurations of a network of a class of `transformers`.

    A class of the user's own reads its configuration as it is: its code may count on that.
    """

    def __init__(self, module: nn.Module) -> None:
        self._configurations = _configurations(module)

    def set(self) -> None:
        """Give them the values that a pass needs."""
        with _lock:
            for config in self._configurations:
                held = _held.setdefault(id(config), _Held(config))
                held.users += 1
                for name in held.before:
                    config.__dict__[name] = _FOR_A_PASS[name]  # its setters check and convert

    def restore(self) -> None:
        """Give them back as they were, where no other network is in use that has them."""
        with _lock:
            for config in self._configurations:
                held = _held[id(config)]
                held.users -= 1
                if held.users == 0:
                    config.__dict__.update(held.before)
                    del _held[id(config)]


def _configurations(module: nn.Module) -> list[Any]:
    """The configurations of a network's modules and those inside of them, each once."""
    if runs_own_code(module):
        return []
    found: dict[int, Any] = {}
    for part in module.modules():
        _add(getattr(part, "config", None), found)
    return list(found.values())


def _add(value: Any, found: dict[int, Any]) -> None:
    """Add a configuration and those inside of it, in lists and dictionaries too."""
    from transformers import PretrainedConfig

    if isinstance(value, PretrainedConfig) and id(value) not in found:
        found[id(value)] = value
        value = vars(value)
    elif not isinstance(value, dict | list | tuple):
        return
    for inner in value.values() if isinstance(value, dict) else value:
        _add(inner, found)
