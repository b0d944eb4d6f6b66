"""How an inversion is made: frozen, typed, validated where it is made."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from stir_hf.errors import RequestError, check_choice, check_count

Method = Literal["adam-polyak", "paper"]
Start = Literal["noise", "noise-same", "uniform", "uniform-same", "white", "black", "grey", "given"]

SHARED_STARTS = frozenset({"noise-same", "uniform-same", "white", "black"})
"""Starts that are one image for all, so that the floor is undefined."""

DEFAULT_STEPS: dict[str, int] = {"adam-polyak": 500, "paper": 1000}


@dataclass(frozen=True)
class InversionConfig:
    """How an inversion is made. Everything here is part of what a score means."""

    method: Method = "adam-polyak"
    """`adam-polyak`: the fast default. `paper`: the original's rule, which never stops early."""
    steps: int | None = None
    """The most passes per image (one forward and one backward each); None takes the method's default."""
    tolerance: float = 0.02
    """Relative error at or below which an image counts as converged (and at which `adam-polyak` stops)."""
    start: Start = "noise"
    """Where the descent begins; see `stir_hf.engine.starts`."""
    draws: int = 1
    """Inversions per image, each from a start of its own."""
    seed: int = 0
    """Seed of the start images, together with the image's index and the draw."""
    exact: bool = False
    """Keep the inverted images as float32 arrays rather than 8-bit PNG."""

    def __post_init__(self) -> None:
        check_choice("method", self.method, get_args(Method))
        check_choice("start", self.start, get_args(Start))
        if self.steps is None:
            object.__setattr__(self, "steps", DEFAULT_STEPS[self.method])
        check_count("steps", self.steps)
        check_count("draws", self.draws)
        check_count("seed", self.seed, least=0)
        ok = (
            isinstance(self.tolerance, int | float)
            and math.isfinite(self.tolerance)
            and self.tolerance > 0
        )
        if not ok or isinstance(self.tolerance, bool):
            raise RequestError(f"tolerance must be a positive number, not {self.tolerance!r}")
        if self.draws > 1 and self.start in {"white", "black"}:
            raise RequestError(
                f"draws={self.draws} with start={self.start!r} repeats the same inversion; use draws=1"
            )

    @property
    def passes(self) -> int:
        """The most passes per image, the method's default filled in."""
        return DEFAULT_STEPS[self.method] if self.steps is None else self.steps
