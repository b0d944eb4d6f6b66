"""Regularisers of inputs: numbers per row that are added to an objective."""

import torch
from torch import Tensor


def variation(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """The total variation of inputs (b, …) along the axes of space, (b,): for each axis the mean
    absolute difference of neighbours, added up (Rudin, Osher and Fatemi 1992, anisotropic).
    """
    differences = (x.diff(dim=axis).abs().flatten(1).mean(1) for axis in axes if x.shape[axis] > 1)
    return sum(differences, x.new_zeros(len(x)))


def from_grey(x: Tensor, bounds: tuple[float, float] | None) -> Tensor:
    """The mean square distance of inputs (b, …) from the middle of their bounds, or from 0 without
    bounds, (b,).
    """
    middle = 0.0 if bounds is None else sum(bounds) / 2
    return (x - middle).square().flatten(1).mean(1)


def blurred(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """The mean square distance of inputs (b, …) from their blurred selves, (b,): each axis of space
    is filtered with (1, 2, 1) / 4, with the values at its ends repeated; no gradient flows through
    the blurred input, as in `lucid` (`objectives.blur_input_each_step`).
    """
    soft = x.detach()
    for axis in axes:
        first, last = soft.narrow(axis, 0, 1), soft.narrow(axis, -1, 1)
        wide = torch.cat((first, soft, last), dim=axis)
        n = x.shape[axis]
        ends = wide.narrow(axis, 0, n) + wide.narrow(axis, 2, n)
        soft = ends / 4 + soft / 2
    return (x - soft).square().flatten(1).mean(1)


def distance_from(x: Tensor, earlier: Tensor) -> Tensor:
    """The mean over earlier inputs (b, k, …) of the root mean square distance from x (b, …), (b,);
    inputs that are NaN do not count.
    """
    there = earlier.flatten(2)[:, :, 0].isfinite()
    squares = (x.unsqueeze(1) - earlier.nan_to_num()).square().flatten(2).mean(2)
    distances = (squares + 1e-12).sqrt() * there
    return distances.sum(1) / there.sum(1).clamp_min(1)
