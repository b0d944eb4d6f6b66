"""The axes of a tensor as space or channels, and what becomes of them when they are merged, split,
multiplied with weights.
"""

from collections.abc import Sequence
from math import prod
from typing import Literal, TypeAlias

Kind = Literal["batch", "space", "colour", "channel"]
"""Colours are those of the images: they are channels where nothing learnt is."""
Part: TypeAlias = tuple[Kind | None, int]
"""The parts that were merged into an axis, and its length; None is not known."""
Axis: TypeAlias = tuple[Part, ...]
"""An axis by its parts, outermost first; one of length 1 may have none."""
Axes: TypeAlias = tuple[Axis, ...]


def axes_of(kinds: Sequence[Kind | None], shape: Sequence[int]) -> Axes:
    """Axes that are nothing merged."""
    return tuple(((kind, length),) for kind, length in zip(kinds, shape, strict=True))


def unknown(shape: Sequence[int]) -> Axes:
    """The axes of a tensor that depends on the images, though how is not known."""
    return axes_of([None] * len(shape), shape)


def kind_of(axis: Axis) -> Kind | None:
    """The kind of an axis: channels where any of its parts is; parts of length 1 count only where
    there is nothing else.
    """
    kinds = {kind for kind, length in axis if length > 1} or {kind for kind, _ in axis}
    known: tuple[Kind, ...] = ("channel", "colour", "space", "batch")
    return next((kind for kind in known if kind in kinds), None)


def length_of(axis: Axis) -> int:
    """The length of an axis."""
    return prod(length for _, length in axis)


def resized(axis: Axis, length: int) -> Axis:
    """The same axis at another length, its parts no longer told apart."""
    return axis if length_of(axis) == length else ((kind_of(axis), length),)


def multiplied(summed: Axis, others: Sequence[Axis], length: int) -> Axis:
    """The axis that a product with weights makes of the one that it sums over, beside the others:
    channels; but space stays space where the channels are beside it (a mixer of tokens).
    """
    beside = any(kind_of(other) == "channel" and length_of(other) > 1 for other in others)
    stays = beside and kind_of(summed) == "space"
    return (("space" if stays else "channel", length),)


def regrouped(axes: Axes, shape: Sequence[int]) -> Axes | None:
    """The axes of the same elements, in their order, in another shape; None where a part would be
    cut askew.
    """
    if 0 in shape:
        return None
    left = [part for axis in reversed(axes) for part in reversed(axis)]
    found: list[Axis] = []
    for length in shape:
        parts = _taken(left, length)
        if parts is None:
            return None
        found.append(parts)
    if found:
        found[-1] = (*found[-1], *reversed(left))  # all of length 1
    return tuple(found)


def _taken(left: list[Part], length: int) -> Axis | None:
    """The next parts, the last of them first, that make an axis of a length; the rest stays."""
    parts: list[Part] = []
    if length == 1 and left and left[-1][1] == 1:
        parts.append(left.pop())
    while (need := length // prod(n for _, n in parts)) > 1:
        if not left:
            return None
        kind, n = left.pop()
        if n > need and n % need == 0:
            left.append((kind, n // need))
            n = need
        if need % n:
            return None
        parts.append((kind, n))
    return tuple(parts)
