"""Settings of a configuration that change a pass, set while a network is used, then restored."""

from threading import Lock
from typing import Any

from torch import nn

from stir_hf.models.run.calling import runs_own_code

_FOR_A_PASS = {"return_dict": True, "output_hidden_states": False, "_output_attentions": False}
"""Values with which networks of `transformers` run, by their names in a configuration."""


class _Held:
    """The values of a configuration before its first use, and the number of its current users."""

    def __init__(self, config: Any) -> None:
        self.config, self.users = config, 0
        self.before = {
            name: vars(config)[name]
            for name, value in _FOR_A_PASS.items()
            if vars(config).get(name, value) != value
        }


_lock = Lock()
_held: dict[int, _Held] = {}
"""Configurations in use by their id; several networks may share one."""


class Settings:
    """The settings of all configurations of a network.

    The configuration of a user's own class is not changed, since its code may depend on it.
    """

    def __init__(self, module: nn.Module) -> None:
        self._configurations = _configurations(module)

    def set(self) -> None:
        """Set the values that a pass needs."""
        with _lock:
            for config in self._configurations:
                held = _held.setdefault(id(config), _Held(config))
                held.users += 1
                for name in held.before:
                    config.__dict__[name] = _FOR_A_PASS[name]  # its setters check and convert

    def restore(self) -> None:
        """Restore the values of each configuration, once no other network uses it."""
        with _lock:
            for config in self._configurations:
                held = _held[id(config)]
                held.users -= 1
                if held.users == 0:
                    config.__dict__.update(held.before)
                    del _held[id(config)]


def _configurations(module: nn.Module) -> list[Any]:
    """The configurations of a network's modules, nested ones included, each once."""
    if runs_own_code(module):
        return []
    found: dict[int, Any] = {}
    for part in module.modules():
        _add(getattr(part, "config", None), found)
    return list(found.values())


def _add(value: Any, found: dict[int, Any]) -> None:
    """Add a configuration and the nested ones, also in lists and dictionaries."""
    from transformers import PretrainedConfig

    if isinstance(value, PretrainedConfig) and id(value) not in found:
        found[id(value)] = value
        value = vars(value)
    elif not isinstance(value, dict | list | tuple):
        return
    for inner in value.values() if isinstance(value, dict) else value:
        _add(inner, found)
