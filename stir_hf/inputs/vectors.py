"""Feature vectors as a kind of input: embeddings, or the rows of a table."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from stir_hf.expected import Record, Whole
from stir_hf.inputs.arrow import is_floats
from stir_hf.inputs.base import Kind, kind

_SPELLING = Record({"length": Whole(1, 1 << 24)})


@kind
@dataclass(frozen=True)
class VectorKind(Kind):
    """Vectors (d,) of float32, without bounds; neighbouring features need not be similar."""

    name: ClassVar[str] = "vector"
    length: int
    """The length d, at least 1."""

    @property
    def shape(self) -> tuple[int]:
        """The shape (d,)."""
        return (self.length,)

    def scale(self, values: NDArray[np.float32]) -> float:
        """The root mean square of the vector, so that its start has about its length."""
        return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))

    def feature(self, *, exact: bool) -> Any:  # noqa: ARG002 - vectors are always kept as floats
        """A column of lists of d float32 values."""
        import datasets

        return datasets.List(datasets.Value("float32"))

    def is_column(self, column: Any, *, exact: bool) -> bool:  # noqa: ARG002 - a Kind
        """Return True for lists of floats."""
        return is_floats(column)

    def values(self, canvas: NDArray[Any]) -> NDArray[np.float32]:
        """Return the vector."""
        return np.asarray(canvas, np.float32)

    def store(self, value: NDArray[np.float32], *, exact: bool) -> Any:  # noqa: ARG002 - a Kind
        """Return the vector as float32."""
        return np.asarray(value, np.float32)

    def restore(self, cell: Any) -> NDArray[np.float32]:
        """Turn a stored list into (d,)."""
        return np.asarray(cell, np.float32)

    def canvas(self, stored: Any) -> NDArray[np.float32]:
        """Read the vector, (d,).

        Raises:
            ValueError: another length, or values that are not finite numbers.
        """
        if stored is None:
            raise ValueError("there is none")
        try:
            found = np.asarray(stored, np.float32)
        except (TypeError, ValueError) as error:
            raise ValueError("it is no list of numbers") from error
        if found.shape != self.shape:
            raise ValueError(f"it has shape {found.shape}, not {self.shape}")
        if not np.isfinite(found).all():
            raise ValueError("it is not finite")
        return found

    def spelling(self) -> dict[str, Any]:
        """Return kind and length."""
        return {"kind": self.name, "length": self.length}

    @classmethod
    def fault(cls, spelling: Mapping[str, Any], where: str) -> str | None:
        """Return the problem with the length in words, or None."""
        return _SPELLING.fault(spelling, where)

    @classmethod
    def from_spelling(cls, spelling: Mapping[str, Any]) -> "VectorKind":
        """Make a kind from its spelling."""
        return cls(int(spelling["length"]))
