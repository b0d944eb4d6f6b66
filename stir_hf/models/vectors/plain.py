"""Vectors as they are: a network over features brings its own normalisation."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stir_hf.inputs.base import Kind
from stir_hf.inputs.vectors import VectorKind
from stir_hf.models.preprocessing import Extent


@dataclass(frozen=True)
class PlainVectors:
    """No preprocessing: vectors (b, d) of any length."""

    modality: ClassVar[str] = VectorKind.name
    axes: ClassVar[tuple[str, ...]] = ("batch", "channel")
    extent: ClassVar[None] = None
    processor: ClassVar[None] = None
    notes: ClassVar[tuple[str, ...]] = ()
    rounds: ClassVar[bool] = False

    def kind(self, extent: Extent) -> VectorKind:
        """Vectors of a length."""
        (length,) = extent
        return VectorKind(length)

    def extent_of(self, shape: Extent) -> Extent:
        """The length as it is."""
        return shape

    def refusal(self, kind: Kind) -> str | None:
        """A reason, for any other kind of input."""
        if kind.name == self.modality:
            return None
        return f"takes {self.modality}s; these inversions are of {kind.name}s"

    def expected(self) -> str:
        """(b, d)."""
        return "vectors (b, d)"

    def takes(self, values: Tensor) -> bool:
        """True for (b, d)."""
        return values.ndim == 2

    def canvas(self, original: NDArray[np.float32]) -> NDArray[np.float32]:
        """The vector."""
        return np.ascontiguousarray(original, np.float32)

    def values(self, original: NDArray[np.float32]) -> Tensor:
        """The vector."""
        return torch.from_numpy(np.array(original, np.float32))

    def resize(self, values: Tensor) -> Tensor:
        """The vectors as they are."""
        return values

    def arithmetic(self, like: Tensor) -> None:
        """None."""

    def rounding(self, extent: Extent) -> None:
        """None."""

    def identity(self) -> dict[str, Any]:
        """The kind of input alone."""
        return {"canvas": {"kind": self.modality}}
