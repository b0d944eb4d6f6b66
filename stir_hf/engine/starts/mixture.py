"""Starts of several types."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from stir_hf.engine.starts.base import STARTS, Start
from stir_hf.engine.starts.flat import Black, White
from stir_hf.engine.starts.noise import NoiseSame

TYPES = (NoiseSame(), White(), Black())


@STARTS.add("mixture")
@dataclass(frozen=True)
class Mixture(Start):
    """One noise for all, white and black, in turn by the index of the original.

    The original's `all_types`, which chooses by the position in the batch.
    """

    random: ClassVar[bool] = False

    def value(
        self, shape: tuple[int, ...], seed: int, index: int, draw: int, again: int = 0
    ) -> np.ndarray:
        """Draw the start of the type of this index."""
        return TYPES[index % len(TYPES)].value(shape, seed, index, draw, again)
