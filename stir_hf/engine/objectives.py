"""The objective that is minimised and reported."""

from torch import Tensor, linalg


def relative_error(representation: Tensor, target: Tensor) -> Tensor:
    """‖f(x') - t‖₂ / ‖t‖₂ per row, (b, d) and (b, d) -> (b,): the paper's loss (its code,
    `LPNormLossSingleModel`).
    """
    distance = linalg.vector_norm(representation - target, dim=1)
    error: Tensor = distance / linalg.vector_norm(target, dim=1)
    return error
