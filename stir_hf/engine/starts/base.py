"""What a start is: where the descent of one image begins, drawn from (seed, index, draw) alone."""

from collections.abc import Sequence
from typing import ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

from stir_hf.registry import Registry


class Start(Protocol):
    """A way to draw starts."""

    shared: ClassVar[bool]
    """Whether it is one value for all images, so that the floor is undefined."""
    random: ClassVar[bool]
    """Whether another draw is another value."""

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """One start, float32, not projected."""


STARTS: Registry[Start] = Registry("start")


def start_value(start: Start, shape: Sequence[int], *, seed: int, index: int, draw: int) -> Tensor:
    """The start of one image, float32 of the given shape, not projected.

    Args:
        start: the way to draw it.
        shape: of one image, such as (c, h, w).
        seed: the run's seed, at least 0.
        index: the image's index in its split, at least 0.
        draw: which of the inversions of that image.
    """
    key = (seed, draw) if start.shared else (seed, index, draw)
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))
    return torch.from_numpy(start.draw(rng, tuple(shape)))
