"""Starts from other originals of the same data."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import ClassVar

import numpy as np

from stir_hf.engine.starts.base import STARTS, Start, generator

TRIES = 64
"""Places that are drawn at random before all others are tried in their order."""


@STARTS.add("other")
@dataclass(frozen=True)
class Other(Start):
    """Another original of the same data, one that comes earlier in its order.

    The original's `mixed_inputs`, which mirrors each batch. Here the start of the original at a
    place in the order of the data is drawn from those at earlier places, so that a set that grows
    keeps its starts. The first places have few to draw from: the first two start from each other in
    every draw. Copies of the original are passed over.
    """

    of_data: ClassVar[bool] = True

    def places(
        self, place: int, count: int, seed: int, index: int, draw: int, again: int = 0
    ) -> Iterator[int]:
        """The places to try in turn, for the original at `place` of `count`: drawn from the earlier
        ones, then the earlier ones in order, then the later ones.
        """
        most = min(max(place, 2), count)
        rng = generator((seed, index, draw, again) if again else (seed, index, draw))
        drawn = rng.integers(0, most, TRIES).tolist()
        return (one for one in chain(drawn, range(count)) if one != place)

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:  # noqa: ARG002 - a Start
        """Raise an error, since these starts come from the data.

        Raises:
            ValueError: always.
        """
        raise ValueError("start 'other' is not drawn; it is another original")
