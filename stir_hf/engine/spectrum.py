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
    half = gain(size, power, x.dtype, x.device)[..., : size[-1] // 2 + 1]
    filtered: Tensor = torch.fft.irfftn(torch.fft.rfftn(x, dim=axes).mul_(half), s=size, dim=axes)
    return filtered


@lru_cache(maxsize=16)
def gain(size: tuple[int, ...], power: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The filter |f|^(-power) at the frequencies of `fftn`, of shape `size` and unit root mean
    square.
    """
    with torch.inference_mode(False):
        squares = torch.zeros(size, dtype=torch.float64, device="cpu")
        for axis, n in enumerate(size):
            frequencies = torch.fft.fftfreq(n, dtype=torch.float64, device="cpu")
            squares += frequencies.square().view([-1 if i == axis else 1 for i in range(len(size))])
        found = squares.sqrt().clamp_min(1 / max(size)).pow(-power)
        found /= found.square().mean().sqrt()
        return found.to(device, dtype)
