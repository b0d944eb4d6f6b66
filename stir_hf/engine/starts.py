"""Start images: where the descent begins. Each is drawn from (seed, dataset index, draw) alone."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

Shape = tuple[int, int, int]


def _generator(*key: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))


def _noise(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    return rng.standard_normal(shape, dtype=np.float32)


def _uniform(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    return rng.random(shape, dtype=np.float32)


def _grey(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    return np.float32(0.5) + np.float32(0.1) * rng.standard_normal(shape, dtype=np.float32)


def _constant(value: float) -> Callable[[np.random.Generator, Shape], np.ndarray]:
    return lambda _, shape: np.full(shape, value, np.float32)


_KINDS: dict[str, Callable[[np.random.Generator, Shape], np.ndarray]] = {
    "noise": _noise,
    "noise-same": _noise,
    "uniform": _uniform,
    "uniform-same": _uniform,
    "grey": _grey,
    "white": _constant(1.0),
    "black": _constant(0.0),
}


def start_image(kind: str, shape: Shape, *, seed: int, index: int, draw: int) -> Tensor:
    """The start of one image, float32 of shape (c, h, w), not clamped.

    Args:
        kind: `noise`, N(0,1) per pixel (the original's `super-noise`; about two thirds lie outside [0,1] and the first
            projection clamps them); `uniform` in [0,1]; `grey`, 0.5 + 0.1 N(0,1); `noise-same` and `uniform-same`, one
            draw for all images; `white`; `black`.
        shape: (c, h, w).
        seed: the run's seed, at least 0.
        index: the image's index in its split, at least 0.
        draw: which of the inversions of that image.

    Raises:
        KeyError: an unknown kind.
    """
    key = (seed, draw) if kind.endswith("-same") else (seed, index, draw)
    return torch.from_numpy(_KINDS[kind](_generator(*key), shape))
