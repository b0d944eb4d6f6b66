"""Preprocessing of vectors, which changes nothing: the network normalises features itself."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stir_hf.inputs.vectors import VectorKind
from stir_hf.models.preprocessing import Extent, Preprocessing


@dataclass(frozen=True)
class PlainVectors(Preprocessing):
    """Preprocessing that changes nothing, for vectors (b, d) of any length."""

    modality: ClassVar[str] = VectorKind.name
    axes: ClassVar[tuple[str, ...]] = ("batch", "channel")

    def kind(self, extent: Extent) -> VectorKind:
        """The kind of vectors of a length."""
        (length,) = extent
        return VectorKind(length)

    def expected(self, values: Tensor) -> str | None:
        """The shape that a batch must have, in words; None for (b, d)."""
        return None if values.ndim == 2 else "vectors (b, d)"

    def canvas(self, original: NDArray[np.float32]) -> NDArray[np.float32]:
        """The same vector."""
        return np.ascontiguousarray(original, np.float32)

    def values(self, original: NDArray[np.float32]) -> Tensor:
        """The vector as a tensor."""
        return torch.from_numpy(np.array(original, np.float32))

    def identity(self) -> dict[str, Any]:
        """The kind of input."""
        return {"canvas": {"kind": self.modality}}
