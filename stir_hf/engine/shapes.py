"""Values of one per image, beside tensors of any shape."""

from torch import Tensor


def per_image(values: Tensor, like: Tensor) -> Tensor:
    """(b,) as (b, 1, …, 1), with as many axes as `like` (b, …)."""
    return values.view(-1, *(1,) * (like.ndim - 1))
