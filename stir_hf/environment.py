"""Where a run took place."""

import platform
from importlib.metadata import version
from typing import Any

import torch
from accelerate import PartialState

from stir_hf._version import __version__

_LIBRARIES = ("torch", "transformers", "datasets", "accelerate", "huggingface_hub", "numpy")


def environment(device: torch.device) -> dict[str, Any]:
    """Versions, device, number of processes and threads, as plain data."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {
        "stir_hf": __version__,
        "python": platform.python_version(),
        **{library: version(library) for library in _LIBRARIES},
        "device": str(device),
        "device_name": name,
        "num_processes": PartialState().num_processes,
        "num_threads": torch.get_num_threads(),
    }
