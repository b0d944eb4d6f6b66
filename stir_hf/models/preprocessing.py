"""The protocol of preprocessing: from originals to the inputs of a network."""

from collections.abc import Callable
from typing import Any, ClassVar, Protocol

import torch
from numpy.typing import NDArray
from torch import Tensor

from stir_hf.inputs.base import Kind

LEAST_BATCH = 4
"""Smaller batches are filled up: convolution libraries treat them by other code, which rounds
differently, and an inversion would depend on how many rows were left at its end."""

Extent = tuple[int, ...]
"""The part of an input's shape that may vary: (h, w) of images, (d,) of vectors."""

Arithmetic = Callable[[Tensor], Tensor]
"""A differentiable map of values to the inputs of a network."""


class Preprocessing(Protocol):
    """The preprocessing of one network: geometry, and differentiable arithmetic."""

    modality: ClassVar[str]
    """Name of the kind of input."""
    axes: ClassVar[tuple[Any, ...]]
    """The axes of a batch: batch, colour, channel or space."""

    @property
    def extent(self) -> Extent | None:
        """The network's native extent; None if it takes inputs of any."""

    @property
    def processor(self) -> str | None:
        """The class of the processor, if there is one."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes of a result on the way in which the processor is called."""

    @property
    def rounds(self) -> bool:
        """True if the canvas rounds values of the processor."""

    def kind(self, extent: Extent) -> Kind:
        """The kind of input at an extent."""

    def extent_of(self, shape: Extent) -> Extent:
        """The extent of the canvas of an original of a shape, (h, w) or (d,)."""

    def refusal(self, kind: Kind) -> str | None:
        """The reason why the network does not take inputs of a kind; None if it does."""

    def expected(self) -> str:
        """The shape of a batch, in words."""

    def takes(self, values: Tensor) -> bool:
        """True for a batch of the right shape."""

    def canvas(self, original: Any) -> NDArray[Any]:
        """An original as the processor's geometry makes it; hashed and stored."""

    def values(self, original: Any) -> Tensor:
        """The values of an original as the processor makes it, not rounded."""

    def resize(self, values: Tensor) -> Tensor:
        """A batch at the native extent, differentiable; as it is if it has that."""

    def arithmetic(self, like: Tensor) -> Arithmetic | None:
        """The arithmetic, on the device and in the dtype of a tensor; None if there is none."""

    def rounding(self, extent: Extent) -> tuple[Tensor, Tensor] | None:
        """A fixed original's values (*shape) before and after the canvas rounds them; None if it
        rounds nothing, or the network may not take such an input.
        """

    def identity(self) -> dict[str, Any]:
        """The geometry and arithmetic by content, hashed with the weights."""


def prepare(
    values: Tensor,
    preprocessing: Preprocessing,
    arithmetic: Arithmetic | None,
    dtype: torch.dtype,
) -> Tensor:
    """Values (b, *shape) to the inputs of a network: at least 4 rows, a tensor of its own."""
    inputs = preprocessing.resize(fill(values)).contiguous()  # decoded pixels lie channels last
    inputs = (inputs if arithmetic is None else arithmetic(inputs)).to(dtype)
    return inputs.clone() if inputs is values else inputs  # the network may work in place


def fill(values: Tensor) -> Tensor:
    """Rows, and after them copies of the first, or zeros where there is none, up to 4; the copies
    carry no gradient.
    """
    count, shape = values.shape[0], values.shape[1:]
    if count >= LEAST_BATCH:
        return values
    more = values.detach()[:1] if count else values.new_zeros(1, *shape)
    return torch.cat((values, more.expand(LEAST_BATCH - count, *shape)))


def extent_of(kind: Kind) -> Extent:
    """The axes of an input that may vary: those of space, or its only one."""
    return tuple(kind.shape[axis] for axis in kind.space) or kind.shape
