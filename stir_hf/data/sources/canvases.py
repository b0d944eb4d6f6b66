"""Samples on the reference's canvas, each decoded, processed and hashed once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from stir_hf.data.identity import array_hash
from stir_hf.data.sources.samples import FIRST, Samples, UnreadableError
from stir_hf.errors import RequestError, one_line


@dataclass(frozen=True)
class Canvas:
    """One sample after the geometry of the reference's processor."""

    position: int
    index: int
    array: NDArray[Any]
    hash: str
    label: int | None
    file_hash: str | None = None
    """16 hexadecimal digits of the sample's encoded bytes."""


class Canvases:
    """The samples on the canvas, by position. A canvas that was peeked at is cached until it is
    taken.

    Args:
        samples: the samples to decode.
        make: the geometry of the processor, from an original to an array.
        shape: the shape of the canvas; a sample of another shape counts as unreadable.
    """

    def __init__(
        self, samples: Samples, make: Callable[[Any], NDArray[Any]], shape: tuple[int, ...]
    ) -> None:
        self.samples, self.make, self._shape = samples, make, shape
        self._expected: Mapping[int, str | None] = {}
        self._kept: dict[int, Canvas | None] = {}

    def peek(self, position: int) -> Canvas | None:
        """The canvas at a position, cached for `take`; None for a sample that cannot be decoded."""
        if position not in self._kept:
            try:
                self._kept[position] = self.read(position)
            except UnreadableError:
                self._kept[position] = None
        return self._kept[position]

    def take(self, position: int) -> Canvas | None:
        """Like `peek`, and drop the cached canvas."""
        self.peek(position)
        return self._kept.pop(position)

    def read(self, position: int) -> Canvas:
        """The canvas of the sample, decoded again; raises UnreadableError if it cannot be."""
        sample = self.samples.sample(position)
        try:
            array = self.make(sample.original)
        except (RequestError, ValueError, OSError, ZeroDivisionError) as error:
            raise UnreadableError(one_line(error)) from error
        if array.shape != self._shape:
            raise UnreadableError(f"its canvas has shape {array.shape}, not {self._shape}")
        digest = array_hash(array)
        found = Canvas(position, sample.index, array, digest, sample.label, sample.file_hash)
        if self._expected.get(found.index) not in (None, found.hash):
            self._refuse(found.index)
        return found

    def _refuse(self, index: int) -> None:
        raise RequestError(
            f"{self.samples.modality} {index} of {self.samples.spec.dataset} has changed since it"
            " was inverted; choose another --out"
        )

    def first_hashes(self) -> list[str | None]:
        """The hashes of the first four samples; None for one that cannot be decoded."""
        found = (self.peek(p) for p in range(min(FIRST, len(self.samples))))
        return [None if canvas is None else canvas.hash for canvas in found]

    def differing(self, count: int, most: int) -> list[Canvas]:
        """Up to `count` distinct canvases among the first `most` samples."""
        found: dict[str, Canvas] = {}
        for position in range(min(len(self.samples), most)):
            if (canvas := self.peek(position)) is not None:
                found.setdefault(canvas.hash, canvas)
            if len(found) == count:
                break
        return list(found.values())

    def expect(self, hashes: Mapping[int, str | None]) -> None:
        """Let `read` refuse samples whose canvas has another hash than the given one, by index."""
        self._expected = hashes

    def check_again(self, positions: Sequence[int], hashes: Sequence[str | None]) -> None:
        """Decode finished samples again; raises RequestError and names one that has changed."""
        for position, digest in zip(positions, hashes, strict=True):
            found = self.hash_at(position)
            if found is None or found != digest:
                self._refuse(int(self.samples.order[position]))

    def hash_at(self, position: int) -> str | None:
        """The hash of the canvas at a position, not cached; None if it cannot be decoded."""
        canvas = self.peek(position) if position in self._kept else self.take(position)
        return None if canvas is None else canvas.hash
