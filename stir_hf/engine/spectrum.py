"""Filters along axes of space."""

from functools import lru_cache

import torch
from torch import Tensor


def one_over_f(x: Tensor, power: float, axes: tuple[int, ...]) -> Tensor:
    """Filter x (b, …) by |f|^(-power) over some axes and return a new tensor.

    f is in cycles per value, at least one cycle per longest axis; the filter has unit root mean
    square. By FFT.

    Args:
        x: real values.
        power: the exponent; 0 for no filter.
        axes: the axes of space, the last axes of `x`, at least one.
    """
    if not power:
        return x.clone()
    size = tuple(x.shape[axis] for axis in axes)
    gain = _gain(size, power, x.dtype, x.device)
    filtered: Tensor = torch.fft.irfftn(torch.fft.rfftn(x, dim=axes).mul_(gain), s=size, dim=axes)
    return filtered


@lru_cache(maxsize=16)
def _gain(size: tuple[int, ...], power: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The filter at the frequencies of `rfftn`, (h, w // 2 + 1) or (n // 2 + 1,)."""
    with torch.inference_mode(False):
        squares = torch.zeros(size, dtype=torch.float64, device="cpu")
        for axis, n in enumerate(size):
            frequencies = torch.fft.fftfreq(n, dtype=torch.float64, device="cpu")
            squares += frequencies.square().view([-1 if i == axis else 1 for i in range(len(size))])
        gain = squares.sqrt().clamp_min(1 / max(size)).pow(-power)
        gain /= gain.square().mean().sqrt()
        return gain[..., : size[-1] // 2 + 1].to(device, dtype)
