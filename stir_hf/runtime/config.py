"""Options of the hardware: batch size, device and precision."""

from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import torch

from stir_hf.errors import as_count, as_flag, check_choice
from stir_hf.registry import option

CACHED_VALUES = 8 * 3 * 224 * 224
"""Input values per batch at which the activations still fit a CPU's caches."""

LEAST_ROWS = 4
"""Inputs that a thread takes at least; fewer cost nearly as much."""

DType = Literal["float32", "float64", "bfloat16", "float16"]


def precision(given: Any) -> DType | None:
    """Return the name of a precision, given by name or as a `torch.dtype`.

    Raises:
        RequestError: networks do not run in this precision.
    """
    if given is None:
        return None
    name: Any = str(given).removeprefix("torch.") if isinstance(given, torch.dtype) else given
    check_choice("dtype", name, get_args(DType))
    return cast(DType, name)


@dataclass(frozen=True)
class RunConfig:
    """Batch size, device and precision. Only the precision may change a score."""

    batch_size: int | None = option(
        None,
        "Samples per batch; default: 32, on a CPU 64 for each thread or as many as its caches take."
        " Does not change a score.",
        metavar="N",
    )
    device: str | None = option(
        None,
        "cpu, cuda, cuda:1, mps, …; default: the best there is; auto: networks too large for one"
        " are spread over all.",
        metavar="NAME",
        accepts=torch.device,
    )
    dtype: DType | None = option(
        None,
        "Precision of the networks: float32 (default), float64, bfloat16, or float16 for judging.",
        metavar="NAME",
        accepts=torch.dtype,
    )
    tf32: bool = option(False, "Allow TensorFloat-32 in float32 networks on CUDA.", off="no-tf32")
    autocast: bool = option(
        False,
        "Descend in float32 networks in bfloat16 autocast; what is stored is measured in float32.",
        off="no-autocast",
    )
    compile: bool = option(
        False,
        "Descend through torch.compile, which takes long to start; on a CPU it was slower.",
        off="no-compile",
    )

    def __post_init__(self) -> None:
        if self.batch_size is not None:
            object.__setattr__(self, "batch_size", as_count("batch_size", self.batch_size))
        object.__setattr__(self, "dtype", precision(self.dtype))
        if self.device is not None:
            object.__setattr__(self, "device", str(self.device))
        for name in ("tf32", "autocast", "compile"):
            object.__setattr__(self, name, as_flag(name, getattr(self, name)))

    def batch(self, values: int, device: torch.device, workers: int = 1) -> int:
        """Return the number of inputs per batch, for inputs of `values` numbers each, in a pass
        that is divided among so many threads.

        The default is 32 on an accelerator. On a CPU it is the fastest of the sizes tried at 28
        and 224 pixels (64 and 8; a batch of 32 took 1.2 and 1.7 times as long per image).
        """
        if self.batch_size is not None:
            return self.batch_size
        if device.type != "cpu":
            return 32
        return max(LEAST_ROWS, min(64 * workers, CACHED_VALUES // values))


def workers(values: int, device: torch.device) -> int:
    """Return the number of threads among which the rows of a batch are divided, for inputs of
    `values` numbers each: on a CPU as many as torch uses, while the activations fit its caches.
    """
    if device.type != "cpu":
        return 1
    rows = CACHED_VALUES // values
    return max(1, min(torch.get_num_threads(), rows // LEAST_ROWS))
