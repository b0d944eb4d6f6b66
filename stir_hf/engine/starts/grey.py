"""Starts of weak noise around mid-grey."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from stir_hf.engine.starts.base import STARTS


@STARTS.add("grey")
@dataclass(frozen=True)
class Grey:
    """0.5 + 0.1 N(0,1) per value."""

    shared: ClassVar[bool] = False
    random: ClassVar[bool] = True

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Draw values, nearly all within [0, 1]."""
        return np.float32(0.5) + np.float32(0.1) * rng.standard_normal(shape, dtype=np.float32)
