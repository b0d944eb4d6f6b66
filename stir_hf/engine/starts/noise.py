"""Starts of noise."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from stir_hf.engine.starts.base import STARTS, Start
from stir_hf.errors import RequestError
from stir_hf.registry import option


@STARTS.add("grey")
@dataclass(frozen=True)
class Grey(Start):
    """0.5 + scale N(0,1) per value."""

    scale: float = option(0.1, "Standard deviation of the values.", neutral=0.1)

    def __post_init__(self) -> None:
        if not 0 < self.scale < np.inf:
            raise RequestError(
                f"option 'scale' of start 'grey' must be above 0 and finite, not {self.scale!r}"
            )

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Draw values; nearly all are within [0, 1] for a scale of at most 0.1."""
        noise = rng.standard_normal(shape, dtype=np.float32)
        return np.float32(0.5) + np.float32(self.scale) * noise


@STARTS.add("noise")
@dataclass(frozen=True)
class Noise(Start):
    """N(0,1) per value; two thirds of the values are outside [0,1]."""

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Draw values, as `super-noise` of the original does."""
        return rng.standard_normal(shape, dtype=np.float32)


@STARTS.add("noise-same")
@dataclass(frozen=True)
class NoiseSame(Noise):
    """N(0,1) per value, the same for all rows."""

    shared: ClassVar[bool] = True


@STARTS.add("uniform")
@dataclass(frozen=True)
class Uniform(Start):
    """Uniform in [0,1] per value."""

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Draw values in [0, 1)."""
        return rng.random(shape, dtype=np.float32)


@STARTS.add("uniform-same")
@dataclass(frozen=True)
class UniformSame(Uniform):
    """Uniform in [0,1] per value, the same for all rows."""

    shared: ClassVar[bool] = True
