"""The protocol of kinds of input: shape, bounds, storage and spelling of one input."""

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from stir_hf.errors import RequestError


class Kind(Protocol):
    """A kind of input: a frozen dataclass in its own file, registered with `@kind`. What a kind
    does not define is that of values without bounds, space and context.

    An *original* is a cell of the user's dataset, decoded. The reference's processor makes a
    *canvas* of it, an array that is hashed and stored; its *values* (float32, of `shape`) are
    inverted and passed to networks.
    """

    name: ClassVar[str]
    """The name of the kind in spellings and messages, a word with a plural in s, such as `image`;
    also the name of the column of originals in an inversion set.
    """
    has_context: ClassVar[bool] = False
    """True if a network gets more than the values."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one input, without the batch axis."""

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The least and the greatest value; None without bounds."""
        return None

    @property
    def space(self) -> tuple[int, ...]:
        """The axes of `shape` that are space or time, along which neighbours are similar."""
        return ()

    def scale(self, values: NDArray[np.float32]) -> float:  # noqa: ARG002 - for other kinds
        """The factor of starts drawn from N(0,1) for an original with these values; 1 if starts do
        not depend on the original.
        """
        return 1.0

    def context(self, canvas: NDArray[Any]) -> dict[str, NDArray[Any]]:  # noqa: ARG002 - as scale
        """Arrays of one original that a network gets together with the values, such as a mask: of
        equal shapes for all inputs of a kind; {} if `has_context` is False.
        """
        return {}

    def feature(self, *, exact: bool) -> Any:
        """The `datasets` feature of a column of such inputs; with `exact`, one that keeps every bit
        of the values.
        """

    def is_column(self, column: Any, *, exact: bool) -> bool:
        """Return True for an Arrow type that `feature` uses."""

    def values(self, canvas: NDArray[Any]) -> NDArray[np.float32]:
        """Turn a canvas into values."""

    def picture(self, values: NDArray[np.float32]) -> NDArray[np.uint8] | None:  # noqa: ARG002 - as scale
        """Draw values as a picture, (h, w) or (h, w, 3); None if such inputs cannot be drawn."""
        return None

    def store(self, value: NDArray[np.float32], *, exact: bool) -> Any:
        """Turn an input of `shape` into a cell of that column."""

    def restore(self, cell: Any) -> NDArray[np.float32]:
        """Turn a cell into an input of `shape`."""

    def check(self, stored: Any) -> None:
        """Raise ValueError if a stored cell is not of this kind; images are not decoded for it."""
        self.canvas(stored)

    def canvas(self, stored: Any) -> NDArray[Any]:
        """Read the canvas from a stored cell of an original.

        Raises:
            ValueError: a cell without a canvas of this kind.
        """

    def spelling(self) -> dict[str, Any]:
        """The kind as plain data for `kind_of`; the entry `kind` is its `name`."""

    @classmethod
    def fault(cls, spelling: Mapping[str, Any], where: str) -> str | None:
        """Return the problem with an untrusted spelling in words, or None."""

    @classmethod
    def from_spelling(cls, spelling: Mapping[str, Any]) -> Self:
        """Make a kind from its spelling."""


KINDS: dict[str, type[Kind]] = {}
"""All kinds, by name."""

_Class = TypeVar("_Class", bound=type[Any])


def kind(cls: _Class) -> _Class:
    """Register a class as a kind, by its `name`."""
    KINDS[cls.name] = cls
    return cls


def kind_of(spelling: Mapping[str, Any]) -> Kind:
    """The kind of input with this spelling.

    Raises:
        RequestError: a kind that this version does not know.
    """
    return kind_named(spelling["kind"]).from_spelling(spelling)


def kind_named(name: str) -> type[Kind]:
    """The kind of input with this name.

    Raises:
        RequestError: a kind that this version does not know.
    """
    if (found := KINDS.get(name)) is None:
        known = ", ".join(sorted(KINDS))
        raise RequestError(f"inputs of kind {name!r} are unknown; this stir-hf knows {known}")
    return found
