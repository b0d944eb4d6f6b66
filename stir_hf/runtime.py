"""Where and in what portions the work is done: device, precision, processes, and the record of it."""

import platform
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Literal, get_args

import torch
from accelerate import PartialState

from stir_hf._version import __version__
from stir_hf.errors import RequestError, check_choice, check_count

DType = Literal["float32", "float64", "bfloat16", "float16"]
_LIBRARIES = ("torch", "transformers", "datasets", "accelerate", "huggingface_hub", "numpy")


@dataclass(frozen=True)
class RunConfig:
    """Where and in what portions the work is done. Nothing here may change a score."""

    batch_size: int = 32
    device: str | None = None
    """`cpu`, `cuda`, `cuda:1`, `mps`, …; None takes the best there is."""
    dtype: DType = "float32"
    """Precision of the networks. The one option here that does change a score, and so part of what made it."""

    def __post_init__(self) -> None:
        check_count("batch_size", self.batch_size)
        check_choice("dtype", self.dtype, get_args(DType))


def pick_device(device: str | None) -> torch.device:
    """The named device, or the best there is: CUDA, then MPS, then the CPU.

    Raises:
        RequestError: a device that is not there.
    """
    if device is None:
        found = torch.accelerator.current_accelerator(check_available=True)
        return (
            found
            if found is not None and found.type in ("cuda", "mps", "xpu")
            else torch.device("cpu")
        )
    try:
        place = torch.device(device)
        torch.empty(1, device=place) + 1
    except (RuntimeError, AssertionError, ValueError, NotImplementedError) as error:
        raise RequestError(
            f"device {device!r} is not there; this machine has {', '.join(_devices())}"
        ) from error
    if place.type == "meta":
        raise RequestError(
            f"device {device!r} holds no values; this machine has {', '.join(_devices())}"
        )
    return place


def _devices() -> list[str]:
    gpus = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    return ["cpu", *gpus, *(["mps"] if torch.backends.mps.is_available() else [])]


def environment(device: torch.device) -> dict[str, Any]:
    """Versions, device, number of processes and threads, as plain data."""
    name = (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else platform.processor() or platform.machine()
    )
    return {
        "stir_hf": __version__,
        "python": platform.python_version(),
        **{library: version(library) for library in _LIBRARIES},
        "device": str(device),
        "device_name": name,
        "num_processes": PartialState().num_processes,
        "num_threads": torch.get_num_threads(),
    }
