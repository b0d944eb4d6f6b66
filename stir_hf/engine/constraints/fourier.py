"""Images of Fourier coefficients behind a sigmoid."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from stir_hf.engine.constraints.base import CONSTRAINTS, Constraint
from stir_hf.engine.spectrum import gain
from stir_hf.errors import RequestError
from stir_hf.registry import option

EDGE = 0.4 / 255
"""Distance from 0 and 1 of the nearest value that a start may have: less than half a step of 8
bits.
"""


@CONSTRAINTS.add("fourier")
@dataclass(frozen=True)
class Fourier(Constraint):
    """The unknowns are Fourier coefficients: x = sigmoid(Re F⁻¹(|f|^(-decay) z)), F orthonormal.

    The parametrisation of Olah et al. 2017, "Feature visualization", and of `lucid`, with the
    frequencies in cycles per value, at least one cycle per longest axis, and weights of unit root
    mean square; the colours are not decorrelated. The original's `FourierStep` has decay 0 and does
    not run with any current torch. Values of starts are first moved into [EDGE, 1 - EDGE].
    """

    decay: float = option(1.0, "Exponent of the weights of the coefficients; 0 weighs all alike.")

    needs_space: ClassVar[bool] = True
    other_coordinates: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 <= self.decay < 4:
            raise RequestError(
                "option 'decay' of constraint 'fourier' must be at least 0 and below 4, not"
                f" {self.decay}"
            )

    def project(self, x: Tensor, centre: Tensor | None) -> Tensor:  # noqa: ARG002 - a Constraint
        """Return the coefficients unchanged; every one gives values in (0, 1)."""
        return x

    def free(self, x: Tensor, gradient: Tensor, centre: Tensor | None) -> Tensor:  # noqa: ARG002 - as above
        """Return the gradient unchanged."""
        return gradient

    def unknowns(self, inputs: Tensor, axes: tuple[int, ...]) -> Tensor:
        """The coefficients (b, …, 2) of inputs (b, …): real and imaginary parts."""
        logits = inputs.clamp(EDGE, 1 - EDGE).logit()
        coefficients = torch.fft.fftn(logits, dim=axes, norm="ortho")
        return torch.view_as_real(coefficients / self._weights(inputs, axes)).contiguous()

    def inputs(self, unknowns: Tensor, axes: tuple[int, ...]) -> Tensor:
        """The inputs (b, …) of coefficients (b, …, 2)."""
        weighted = torch.view_as_complex(unknowns) * self._weights(unknowns, axes)
        found: Tensor = torch.fft.ifftn(weighted, dim=axes, norm="ortho").real.sigmoid()
        return found

    def _weights(self, like: Tensor, axes: tuple[int, ...]) -> Tensor:
        size = tuple(like.shape[axis] for axis in axes)
        if not math.prod(size):
            raise ValueError("the fourier constraint needs axes of space")
        return gain(size, self.decay, like.dtype, like.device)
