"""Broadcasting one value per row to tensors of any shape."""

from torch import Tensor


def per_row(values: Tensor, like: Tensor) -> Tensor:
    """Reshape (b,) to (b, 1, …, 1), with as many axes as `like` (b, …)."""
    return values.view(-1, *(1,) * (like.ndim - 1))
