"""What a network consumes, as tensors: the shape of one input, its bounds, and how it is stored
and read back.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from stir_hf.errors import RequestError


class Kind(Protocol):
    """A kind of input on its canvas; a frozen dataclass in a file of its own, and a line in
    `kind_of`.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one input, without the batch axis."""

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the greatest value of an input."""

    def feature(self, *, exact: bool) -> Any:
        """The `datasets` feature of a column of such inputs; `exact` keeps every bit of the
        values.
        """

    def values(self, canvas: NDArray[Any]) -> NDArray[np.float32]:
        """An original on the canvas, as the processor makes it, as an input of `shape`."""

    def store(self, value: NDArray[np.float32], *, exact: bool) -> Any:
        """An input of `shape` as a cell of that column."""

    def restore(self, cell: Any) -> NDArray[np.float32]:
        """A cell as an input of `shape`."""

    def check(self, stored: bytes) -> None:
        """Raise ValueError where a stored file is none of this kind, without decoding it."""

    def canvas(self, stored: bytes) -> NDArray[Any]:
        """The canvas that a stored file, of a cell that is not exact, holds; ValueError where it
        holds none of this kind.
        """

    def spelling(self) -> dict[str, Any]:
        """What `kind_of` reads, as JSON has it."""


def kind_of(spelling: Mapping[str, Any]) -> Kind:
    """The kind of input that was spelt.

    Raises:
        RequestError: a kind that this version does not know.
    """
    from stir_hf.inputs.images import ImageKind

    if spelling["kind"] == "image":
        height, width = spelling["size"]
        return ImageKind(spelling["mode"], (height, width))
    raise RequestError(f"inputs of kind {spelling['kind']!r} are unknown; this stir-hf knows image")
