"""Networks that accelerate has spread over devices, memory and disk (`device_map="auto"`)."""

from typing import Any

import torch
from accelerate.utils import align_module_device
from torch import Tensor, nn

SPREAD = "auto"
"""The device name that spreads a network over all devices."""


def is_spread(module: nn.Module) -> bool:
    """Return True if accelerate moves inputs and outputs of some submodules between devices."""
    return any(hasattr(part, "_hf_hook") for part in module.modules())


def execution_device(module: nn.Module) -> torch.device | None:
    """Return the device of the first submodule of a spread network; None if it is not spread."""
    for part in module.modules():
        found: Any = getattr(getattr(part, "_hf_hook", None), "execution_device", None)
        if found is not None:
            return torch.device(found)
    return None


def brought(module: nn.Module, name: str) -> Tensor:
    """Return a CPU copy of a weight that may be offloaded to memory or disk."""
    owner, _, leaf = name.rpartition(".")
    part = module.get_submodule(owner)
    with torch.no_grad(), align_module_device(part, torch.device("cpu")):
        value: Tensor = getattr(part, leaf)
        return value.detach().clone()
