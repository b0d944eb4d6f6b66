"""The device on which a network runs."""

import torch

from stir_hf.errors import RequestError
from stir_hf.runtime.placement import SPREAD


def pick_device(device: str | None) -> torch.device:
    """Return the named device; for None or `auto` the best available one: CUDA, MPS or XPU if
    there is one, else the CPU.

    Raises:
        RequestError: this machine has no such device.
    """
    if device in (None, SPREAD):
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
            f"device {device!r} does not exist; this machine has {', '.join(_devices())}"
        ) from error
    if place.type == "meta":
        raise RequestError(
            f"device {device!r} holds no values; this machine has {', '.join(_devices())}"
        )
    return place


def _devices() -> list[str]:
    gpus = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    return ["cpu", *gpus, *(["mps"] if torch.backends.mps.is_available() else [])]
