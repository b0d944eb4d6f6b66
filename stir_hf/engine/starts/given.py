"""Starts from the user."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from stir_hf.engine.starts.base import STARTS, Start
from stir_hf.registry import option


@STARTS.add("given")
@dataclass(frozen=True)
class Given(Start):
    """Values from the user: a tensor, or a folder of images, `given:FOLDER`, one per original.

    A folder is read like data, and its images, in the order of their names, are put on the canvas
    by the reference's processor. What identifies the starts is their content.
    """

    folder: str = option("", "A folder of images.", rest=True, neutral="")

    random: ClassVar[bool] = False

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:  # noqa: ARG002 - a Start
        """Raise an error, since starts from the user are not drawn.

        Raises:
            ValueError: always.
        """
        raise ValueError("start 'given' is not drawn; its tensors are handed in")
