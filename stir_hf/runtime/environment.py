"""A record of the software and hardware of a run."""

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
import torch.distributed as dist

from stir_hf._version import __version__

_NEEDED = ("torch", "transformers", "datasets", "accelerate", "huggingface_hub", "numpy", "pillow")
_OPTIONAL = ("torchvision", "timm", "peft")
"""Optional libraries that change numbers if installed: other classes preprocess the images."""


@cache
def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def environment(device: torch.device) -> dict[str, Any]:
    """Return versions, device and the numbers of processes and threads, as plain data."""
    name = platform.processor() or platform.machine()
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    return {
        "stir_hf": __version__,
        "python": platform.python_version(),
        **{library: _version(library) for library in (*_NEEDED, *_OPTIONAL)},
        "device": str(device),
        "device_name": name,
        "num_processes": dist.get_world_size() if dist.is_initialized() else 1,
        "num_threads": torch.get_num_threads(),
    }
