"""Starts from the user."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from stir_hf.engine.starts.base import STARTS, Start


@STARTS.add("given")
@dataclass(frozen=True)
class Given(Start):
    """Tensors that are passed in, one per original."""

    random: ClassVar[bool] = False

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:  # noqa: ARG002 - a Start
        """Raise an error, since starts from the user are not drawn.

        Raises:
            ValueError: always.
        """
        raise ValueError("start 'given' is not drawn; its tensors are handed in")
