"""Starts of uniform noise."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from stir_hf.engine.starts.base import STARTS


@STARTS.add("uniform")
@dataclass(frozen=True)
class Uniform:
    """Uniform in [0,1] per value."""

    shared: ClassVar[bool] = False
    random: ClassVar[bool] = True

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Draw values in [0, 1)."""
        return rng.random(shape, dtype=np.float32)


@STARTS.add("uniform-same")
@dataclass(frozen=True)
class UniformSame(Uniform):
    """Uniform in [0,1] per value, the same for all rows."""

    shared: ClassVar[bool] = True
