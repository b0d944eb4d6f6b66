"""The protocol of starts: first values of a row, which depend only on (seed, index, draw)."""

from collections.abc import Sequence
from typing import ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

from stir_hf.registry import Registry


class Start(Protocol):
    """A way to draw starts."""

    shared: ClassVar[bool] = False
    """True if all rows have the same start, so that the floor is undefined."""
    random: ClassVar[bool] = True
    """True if another draw gives another start."""
    of_data: ClassVar[bool] = False
    """True if starts are other originals of the data."""

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Draw one start, float32, not projected."""

    def value(
        self, shape: tuple[int, ...], seed: int, index: int, draw: int, again: int = 0
    ) -> np.ndarray:
        """The start of one row, float32, neither scaled nor projected."""
        key = (seed, draw) if self.shared else (seed, index, draw)
        return self.draw(generator((*key, again) if again else key), shape)


STARTS: Registry[Start] = Registry("start")


def generator(key: Sequence[int]) -> np.random.Generator:
    """The generator of random numbers of a key."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))


def start_value(
    start: Start, shape: Sequence[int], *, seed: int, index: int, draw: int, again: int = 0
) -> Tensor:
    """The start of one row, float32 of the given shape, not scaled and not projected.

    Args:
        start: the kind of start.
        shape: the shape of one input.
        seed: the seed of the run.
        index: the index of the original in its split.
        draw: the number of its inversion, from 0.
        again: the number of the restart of that inversion; 0 is its first start.
    """
    return torch.from_numpy(start.value(tuple(shape), seed, index, draw, again))
