"""Networks whose weights accelerate has spread over several devices, memory and disk
(`device_map="auto"`).
"""

from typing import Any

import torch
from accelerate.utils import align_module_device
from torch import Tensor, nn

SPREAD = "auto"
"""The name, in place of a device, that spreads a network over all there are."""


def is_spread(module: nn.Module) -> bool:
    """Whether accelerate moves what goes in and out of some of its parts."""
    return any(hasattr(part, "_hf_hook") for part in module.modules())


def execution_device(module: nn.Module) -> torch.device | None:
    """Where the first part of a spread network computes; None for another network."""
    for part in module.modules():
        found: Any = getattr(getattr(part, "_hf_hook", None), "execution_device", None)
        if found is not None:
            return torch.device(found)
    return None


def brought(module: nn.Module, name: str) -> Tensor:
    """A weight that is in memory or on disk until its part computes, on the CPU."""
    owner, _, leaf = name.rpartition(".")
    part = module.get_submodule(owner)
    with torch.no_grad(), align_module_device(part, torch.device("cpu")):
        value: Tensor = getattr(part, leaf)
        return value.detach().clone()
