"""Tensors with one value per row, beside tensors of any shape."""

from torch import Tensor


def per_row(values: Tensor, like: Tensor) -> Tensor:
    """(b,) as (b, 1, …, 1), with as many axes as `like` (b, …)."""
    return values.view(-1, *(1,) * (like.ndim - 1))
