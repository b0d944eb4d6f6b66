"""The axes of a tensor as space or channels: merged, split, or multiplied with weights."""

from collections.abc import Sequence
from math import prod
from typing import Literal, TypeAlias

Kind = Literal["batch", "space", "colour", "channel"]
"""Kinds of axes. Colours are the channels of the inputs, and count if there are no learnt ones."""
Part: TypeAlias = tuple[Kind | None, int]
"""One of the parts that were merged into an axis: its kind, None if unknown, and its length."""
Axis: TypeAlias = tuple[Part, ...]
"""An axis as its parts, outermost first; an axis of length 1 may have no parts."""
Axes: TypeAlias = tuple[Axis, ...]


def axes_of(kinds: Sequence[Kind | None], shape: Sequence[int]) -> Axes:
    """Axes of one part each."""
    return tuple(((kind, length),) for kind, length in zip(kinds, shape, strict=True))


def unknown(shape: Sequence[int]) -> Axes:
    """Axes of unknown kinds, for a tensor that depends on the inputs."""
    return axes_of([None] * len(shape), shape)


def kind_of(axis: Axis) -> Kind | None:
    """The kind of an axis: channels if any part is; parts of length 1 count only if alone."""
    kinds = {kind for kind, length in axis if length > 1} or {kind for kind, _ in axis}
    known: tuple[Kind, ...] = ("channel", "colour", "space", "batch")
    return next((kind for kind in known if kind in kinds), None)


def length_of(axis: Axis) -> int:
    """The length of an axis."""
    return prod(length for _, length in axis)


def resized(axis: Axis, length: int) -> Axis:
    """The same axis with another length, as a single part."""
    return axis if length_of(axis) == length else ((kind_of(axis), length),)


def multiplied(summed: Axis, others: Sequence[Axis], length: int) -> Axis:
    """The axis after a product with weights that sums over `summed`, next to the `others`:
    channels, unless it was space and another axis holds the channels (a mixer of tokens).
    """
    beside = any(kind_of(other) == "channel" and length_of(other) > 1 for other in others)
    stays = beside and kind_of(summed) == "space"
    return (("space" if stays else "channel", length),)


def regrouped(axes: Axes, shape: Sequence[int]) -> Axes | None:
    """The axes of the same elements in another shape; None if a part would be split unevenly."""
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
    """Take parts from the end of `left` for an axis of a length, and leave the rest."""
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
