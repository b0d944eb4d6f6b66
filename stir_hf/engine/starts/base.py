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

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Draw one start, float32, not projected."""


STARTS: Registry[Start] = Registry("start")


def start_value(start: Start, shape: Sequence[int], *, seed: int, index: int, draw: int) -> Tensor:
    """The start of one row, float32 of the given shape, not scaled and not projected; `index` is
    that of the original in its split, `draw` the number of its inversion, from 0.
    """
    key = (seed, draw) if start.shared else (seed, index, draw)
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))
    return torch.from_numpy(start.draw(rng, tuple(shape)))
