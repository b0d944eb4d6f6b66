"""The entries of a configuration that may change what a network computes."""

import json
import re
from collections.abc import Iterator
from typing import Any

from torch import nn

_WITHOUT_EFFECT = re.compile(
    r"_name_or_path|name_or_path|transformers_version|architectures|auto_map|(torch_)?dtype"
    r"|id2label|label2id|num_labels|problem_type|finetuning_task|task_specific_params"
    r"|return_dict|use_return_dict|output_\w+|use_cache|torchscript|gradient_checkpointing"
    r"|initializer_\w+|\w*init_(std|range|scale|xavier_std)|\w*drop(out|_path|_rate|layer)?(_\w+)?"
    r"|layerdrop|quantization_config|_\w+"
)
"""Names of entries that matter for loading, training, or what a pass returns, and not for what it
computes in evaluation mode.
"""


def entries(module: nn.Module) -> dict[str, Any]:
    """The entries of a network's configuration as plain data, by name; those of inner ones by
    `outer.name`. Empty for a module without a configuration.
    """
    config: Any = getattr(module, "config", None)
    if not hasattr(config, "to_dict"):
        return {}
    plain = json.loads(json.dumps(config.to_dict(), default=str))
    return dict(_flat(plain, ""))


def _flat(values: dict[str, Any], before: str) -> Iterator[tuple[str, Any]]:
    for name, value in sorted(values.items()):
        if _WITHOUT_EFFECT.fullmatch(name):
            continue
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value
