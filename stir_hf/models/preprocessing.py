"""The protocol of preprocessing: from originals to the inputs of a network."""

from collections.abc import Callable
from typing import Any, ClassVar, Protocol

import torch
from numpy.typing import NDArray
from torch import Tensor

from stir_hf.inputs.base import Kind

LEAST_BATCH = 4
"""Size to which smaller batches are padded: convolution libraries use other code for them, which
rounds differently, and an inversion would depend on the number of rows left at its end."""

TOLD_ABOVE = 1e-4
"""Smallest relative change of a representation through rounding that gets a note."""

Extent = tuple[int, ...]
"""The part of an input's shape that may vary: (h, w) for images, (d,) for vectors."""

Arithmetic = Callable[[Tensor], Tensor]
"""A differentiable map from values to the inputs of a network."""


class Preprocessing(Protocol):
    """The preprocessing of one network: geometry, and differentiable arithmetic. A class that
    inherits from this one has the methods with a body here, which change nothing.
    """

    modality: ClassVar[str]
    """Name of the kind of input."""
    axes: ClassVar[tuple[Any, ...]]
    """The axes of a batch: batch, colour, channel or space."""

    @property
    def extent(self) -> Extent | None:
        """The network's native extent; None if it takes inputs of any extent."""
        return None

    @property
    def processor(self) -> str | None:
        """The class of the processor, if there is one."""
        return None

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes of a result on how the processor is called."""
        return ()

    @property
    def rounds(self) -> bool:
        """True if the canvas rounds the values of the processor."""
        return False

    def kind(self, extent: Extent) -> Kind:
        """The kind of input at an extent."""

    def extent_of(self, shape: Extent) -> Extent:
        """The extent of the canvas for an original of a shape, (h, w) or (d,)."""
        return shape

    def refusal(self, kind: Kind) -> str | None:
        """The reason why the network does not take inputs of a kind; None if it takes them."""
        if kind.name == self.modality:
            return None
        return f"takes {self.modality}s; these inversions are of {kind.name}s"

    def expected(self, values: Tensor) -> str | None:
        """The shape that a batch must have, in words; None if these values have it."""

    def canvas(self, original: Any) -> NDArray[Any]:
        """Apply the geometry of the processor to an original; the canvas is hashed and stored."""

    def values(self, original: Any) -> Tensor:
        """The values of an original after the geometry of the processor, not rounded."""

    def resize(self, values: Tensor) -> Tensor:
        """Resize a batch to the native extent, differentiably; unchanged if it has that extent."""
        return values

    def arithmetic(self, like: Tensor) -> Arithmetic | None:  # noqa: ARG002 - a default
        """The arithmetic, on the device and in the dtype of a tensor; None if there is none."""
        return None

    def rounding(self, extent: Extent) -> tuple[Tensor, Tensor] | None:  # noqa: ARG002 - a default
        """The values (*shape) of a fixed original before and after the canvas rounds them; None if
        it rounds nothing, or if the network may not take such an input.
        """
        return None

    def identity(self) -> dict[str, Any]:
        """The geometry and arithmetic by content, for the identity of the network."""


def prepare(
    values: Tensor, preprocessing: Preprocessing, arithmetic: Arithmetic | None, dtype: torch.dtype
) -> Tensor:
    """Turn values (b, *shape) into the inputs of a network: a new tensor of at least 4 rows."""
    inputs = preprocessing.resize(fill(values)).contiguous()  # decoded pixels lie channels last
    inputs = (inputs if arithmetic is None else arithmetic(inputs)).to(dtype)
    return inputs.clone() if inputs is values else inputs  # the network may work in place


def fill(values: Tensor) -> Tensor:
    """Pad rows up to 4 with copies of the first (or zeros), which carry no gradient."""
    count, shape = values.shape[0], values.shape[1:]
    if count >= LEAST_BATCH:
        return values
    more = values.detach()[:1] if count else values.new_zeros(1, *shape)
    return torch.cat((values, more.expand(LEAST_BATCH - count, *shape)))


def extent_of(kind: Kind) -> Extent:
    """The axes of an input that may vary: those of space, or its only one."""
    return tuple(kind.shape[axis] for axis in kind.space) or kind.shape


def rounding_notes(
    represent: Callable[[Tensor], Tensor], preprocessing: Preprocessing, extent: Extent
) -> tuple[str, ...]:
    """A note on the change of the representation of a fixed original through rounding, if any."""
    if (pair := preprocessing.rounding(extent)) is None:
        return ()
    with torch.no_grad():
        meant, seen = (represent(values[None]).double() for values in pair)
    change = float((seen - meant).norm() / meant.norm())
    if not change > TOLD_ABOVE:
        return ()
    return (
        f"{preprocessing.processor} gives values that 8 bits do not hold; the canvas rounds them,"
        f" which changes the representation of a picture by {change:.2%}",
    )
