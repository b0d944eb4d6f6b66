"""Constant starts."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from stir_hf.engine.starts.base import STARTS, Start


@STARTS.add("white")
@dataclass(frozen=True)
class White(Start):
    """1 everywhere."""

    shared: ClassVar[bool] = True
    random: ClassVar[bool] = False

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:  # noqa: ARG002 - a Start
        """Return ones."""
        return np.ones(shape, np.float32)


@STARTS.add("black")
@dataclass(frozen=True)
class Black(Start):
    """0 everywhere."""

    shared: ClassVar[bool] = True
    random: ClassVar[bool] = False

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:  # noqa: ARG002 - a Start
        """Return zeros."""
        return np.zeros(shape, np.float32)
