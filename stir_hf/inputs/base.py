"""Kinds of input: the shape of one unknown, its bounds, and how it is stored and read back."""

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from stir_hf.errors import RequestError


class Kind(Protocol):
    """A kind of input: a frozen dataclass in a file of its own, entered with `@kind`.

    An *original* is a cell of the user's dataset, decoded. The reference's processor makes a
    *canvas* of it, an array that is hashed and stored; its *values* (float32, of `shape`) are what
    is inverted and what networks are fed.
    """

    name: ClassVar[str]
    """The name of the kind in spellings and messages, a word that takes a plural s, such as
    `image`. The column of originals in an inversion set has it, too.
    """
    has_context: ClassVar[bool]
    """True if a network is fed more than the values."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one input, without the batch axis."""

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The least and the greatest value; None where there are no bounds."""

    @property
    def space(self) -> tuple[int, ...]:
        """The axes of `shape` that are space or time, along which neighbours are alike; may be
        empty.
        """

    def scale(self, values: NDArray[np.float32]) -> float:
        """The factor of a start that is drawn from N(0,1), for an original with these values; 1
        where starts do not depend on the original.
        """

    def context(self, canvas: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Arrays of one original that a network is fed beside the values, such as a mask; equal
        shapes for all inputs of a kind, {} where there are none (`has_context` is False).
        """

    def feature(self, *, exact: bool) -> Any:
        """The `datasets` feature of a column of such inputs; `exact` keeps every bit of the
        values.
        """

    def is_column(self, column: Any, *, exact: bool) -> bool:
        """True if an Arrow type is one in which `feature` stores inputs."""

    def values(self, canvas: NDArray[Any]) -> NDArray[np.float32]:
        """The values of a canvas."""

    def picture(self, values: NDArray[np.float32]) -> NDArray[np.uint8] | None:
        """Values as a picture, (h, w) or (h, w, 3); None for inputs that cannot be drawn."""

    def store(self, value: NDArray[np.float32], *, exact: bool) -> Any:
        """An input of `shape` as a cell of that column."""

    def restore(self, cell: Any) -> NDArray[np.float32]:
        """A cell as an input of `shape`."""

    def check(self, stored: Any) -> None:
        """Raise ValueError where a stored cell is none of this kind, without decoding all of it."""

    def canvas(self, stored: Any) -> NDArray[Any]:
        """The canvas that a stored cell of an original holds; ValueError where it holds none of
        this kind.
        """

    def spelling(self) -> dict[str, Any]:
        """The kind as JSON, read by `kind_of`: `kind` is its `name`."""

    @classmethod
    def fault(cls, spelling: Mapping[str, Any], where: str) -> str | None:
        """What is wrong with a spelling, which may be a stranger's; None where nothing is."""

    @classmethod
    def from_spelling(cls, spelling: Mapping[str, Any]) -> Self:
        """The inverse of `spelling`."""


KINDS: dict[str, type[Kind]] = {}
"""All kinds, by name."""

_Class = TypeVar("_Class", bound=type[Any])


def kind(cls: _Class) -> _Class:
    """Enter a class among the kinds, by its `name`."""
    KINDS[cls.name] = cls
    return cls


def kind_of(spelling: Mapping[str, Any]) -> Kind:
    """The kind of input that was spelt.

    Raises:
        RequestError: a kind that this version does not know.
    """
    return kind_named(spelling["kind"]).from_spelling(spelling)


def kind_named(name: str) -> type[Kind]:
    """The kind of a name.

    Raises:
        RequestError: a kind that this version does not know.
    """
    if (found := KINDS.get(name)) is None:
        known = ", ".join(sorted(KINDS))
        raise RequestError(f"inputs of kind {name!r} are unknown; this stir-hf knows {known}")
    return found
