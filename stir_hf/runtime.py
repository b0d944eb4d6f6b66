"""Where and in what portions the work is done: device, precision, processes, and the record of
it.
"""

import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal, get_args

import torch
from accelerate import PartialState

from stir_hf._version import __version__
from stir_hf.errors import RequestError, as_count, as_flag, check_choice
from stir_hf.registry import option

CACHED_VALUES = 8 * 3 * 224 * 224
"""Input values of a batch whose activations a CPU's caches hold well."""

DType = Literal["float32", "float64", "bfloat16", "float16"]
_LIBRARIES = (
    "torch",
    "transformers",
    "datasets",
    "accelerate",
    "huggingface_hub",
    "numpy",
    "pillow",
)
_OPTIONAL = ("torchvision", "timm", "peft")
"""Libraries that change numbers where they are installed: another class processes the images."""


def precision(given: Any) -> DType | None:
    """The name of a precision that is given by its name or as a `torch.dtype`.

    Raises:
        RequestError: none of those that networks run in.
    """
    if given is None:
        return None
    name: Any = str(given).removeprefix("torch.") if isinstance(given, torch.dtype) else given
    check_choice("dtype", name, get_args(DType))
    chosen: DType = name
    return chosen


@dataclass(frozen=True)
class RunConfig:
    """Where and in what portions the work is done. Only the precision may change a score."""

    batch_size: int | None = option(
        None,
        "Images per batch; default: 32, on a CPU 64 or as many as its caches take. Does not change"
        " a score.",
        metavar="N",
    )
    device: str | None = option(
        None, "cpu, cuda, cuda:1, mps, …; default: the best there is.", metavar="NAME"
    )
    dtype: DType | None = option(
        None,
        "Precision of the networks: float32 (default), float64, bfloat16, or float16 for judging.",
        metavar="NAME",
    )
    tf32: bool = option(False, "Allow TensorFloat-32 in float32 networks on CUDA.", off="no-tf32")
    autocast: bool = option(
        False,
        "Descend in float32 networks in bfloat16 autocast; what is stored is measured in float32.",
        off="no-autocast",
    )

    def __post_init__(self) -> None:
        if self.batch_size is not None:
            object.__setattr__(self, "batch_size", as_count("batch_size", self.batch_size))
        object.__setattr__(self, "dtype", precision(self.dtype))
        if self.device is not None:
            object.__setattr__(self, "device", str(self.device))
        for name in ("tf32", "autocast"):
            object.__setattr__(self, name, as_flag(name, getattr(self, name)))

    def batch(self, values: int, device: torch.device) -> int:
        """Images per batch, of so many values each.

        Unless it was given: on a CPU the fastest of those that were tried at 28 and 224 pixels (64
        and 8; 32 took 1.2 and 1.7 times as long per image), 32 elsewhere.
        """
        if self.batch_size is not None:
            return self.batch_size
        if device.type != "cpu":
            return 32
        return max(4, min(64, CACHED_VALUES // values))


class Processes:
    """The processes of this run, as accelerate knows them."""

    def __init__(self) -> None:
        self._state = PartialState()

    @property
    def rank(self) -> int:
        """Which of the processes this is, from 0."""
        return int(self._state.process_index)

    @property
    def count(self) -> int:
        """How many there are."""
        return int(self._state.num_processes)

    @property
    def main(self) -> bool:
        """Whether this one writes results and talks."""
        return bool(self._state.is_main_process)

    def wait(self) -> None:
        """Until all of them are here."""
        self._state.wait_for_everyone()


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


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None


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
        **{library: _version(library) for library in _OPTIONAL},
        "device": str(device),
        "device_name": name,
        "num_processes": Processes().count,
        "num_threads": torch.get_num_threads(),
    }
