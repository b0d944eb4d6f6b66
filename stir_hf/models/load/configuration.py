"""The entries of a configuration that may change a network's outputs."""

import math
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from torch import nn

_WITHOUT_EFFECT = re.compile(
    r"_name_or_path|name_or_path|transformers_version|architectures|auto_map|(torch_)?dtype"
    r"|id2label|label2id|num_labels|problem_type|finetuning_task|task_specific_params"
    r"|return_dict|use_return_dict|output_(attentions|hidden_states|router_logits|scores|past)"
    r"|use_cache|torchscript|gradient_checkpointing"
    r"|initializer_\w+|\w*init_(std|range|scale|xavier_std)|\w*drop(out|_path|_rate|layer)?(_\w+)?"
    r"|layerdrop|quantization_config|_\w+"
)
"""Names of entries that do not change the values that are computed in evaluation mode."""


def entries(module: nn.Module) -> dict[str, Any]:
    """The entries of a network's configuration that its class defines, as plain data by name;
    nested entries are called `outer.name`. Empty for a module without a configuration.
    """
    config: Any = getattr(module, "config", None)
    if not hasattr(config, "to_dict"):
        return {}
    found = dict(_flat(config.to_dict(), ""))
    with suppress(Exception):  # a user's own class that needs arguments
        declared = {name for name, _ in _flat(type(config)().to_dict(), "")}
        return {name: value for name, value in found.items() if name in declared}
    return found


def _flat(values: dict[str, Any], before: str) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        name = str(key)
        if _WITHOUT_EFFECT.fullmatch(name):
            continue
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}.")
        elif _is_plain(value):
            yield f"{before}{name}", list(value) if isinstance(value, tuple) else value


def _is_plain(value: Any) -> bool:
    """Return whether JSON can represent a value exactly; the name of a function may vary."""
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, str | int)
