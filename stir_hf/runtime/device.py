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
        best = torch.accelerator.current_accelerator(check_available=True)
        known = best is not None and best.type in ("cuda", "mps", "xpu")
        return best if best is not None and known else torch.device("cpu")
    try:
        place = torch.device(device)
        torch.empty(1, device=place) + 1
    except (RuntimeError, AssertionError, ValueError, NotImplementedError) as error:
        raise _refused(device, "does not exist") from error
    if place.type == "meta":
        raise _refused(device, "holds no values")
    return place


def _refused(device: str, why: str) -> RequestError:
    gpus = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    there = ["cpu", *gpus, *(["mps"] if torch.backends.mps.is_available() else [])]
    return RequestError(f"device {device!r} {why}; this machine has {', '.join(there)}")
