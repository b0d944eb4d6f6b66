"""Preprocessing of vectors, which changes nothing: the network normalises features itself."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stir_hf.inputs.base import Kind
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

    def refusal(self, kind: Kind) -> str | None:
        """The reason to refuse another kind of input; None for vectors."""
        if kind.name == self.modality:
            return None
        return f"takes {self.modality}s; these inversions are of {kind.name}s"

    def expected(self) -> str:
        """The shape of a batch in words."""
        return "vectors (b, d)"

    def takes(self, values: Tensor) -> bool:
        """True for (b, d)."""
        return values.ndim == 2

    def canvas(self, original: NDArray[np.float32]) -> NDArray[np.float32]:
        """The same vector."""
        return np.ascontiguousarray(original, np.float32)

    def values(self, original: NDArray[np.float32]) -> Tensor:
        """The vector as a tensor."""
        return torch.from_numpy(np.array(original, np.float32))

    def identity(self) -> dict[str, Any]:
        """The kind of input."""
        return {"canvas": {"kind": self.modality}}
