"""What a run was asked for: frozen, typed, validated where it is made."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from stir_hf.errors import RequestError, closest

Method = Literal["adam-polyak", "paper"]
Start = Literal["noise", "noise-same", "uniform", "uniform-same", "white", "black", "grey", "given"]
ImageMode = Literal["RGB", "L"]
DType = Literal["float32", "float64", "bfloat16", "float16"]

SHARED_STARTS = frozenset({"noise-same", "uniform-same", "white", "black"})
"""Starts that are one image for all, so that the floor is undefined."""

DEFAULT_STEPS: dict[str, int] = {"adam-polyak": 500, "paper": 1000}


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise RequestError unless `value` is one of `choices`."""
    if value not in choices:
        raise RequestError(f"{name} {value!r} is unknown; {closest(str(value), choices, shown=10)}")


def check_count(name: str, value: object, least: int = 1) -> None:
    """Raise RequestError unless `value` is a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise RequestError(f"{name} must be a whole number of at least {least}, not {value!r}")


def split_revision(name: str) -> tuple[str, str | None]:
    """`id@revision` apart; a path is left whole, since a folder's name may hold an `@`."""
    if is_local(name):
        return name, None
    repo_id, _, revision = name.rpartition("@") if "@" in name else (name, "", "")
    return repo_id, revision or None


def is_local(name: str) -> bool:
    """Whether `name` is a path on disk, or can only be meant as one."""
    return Path(name).exists() or name.startswith((".", "/", "~")) or name.partition("@")[0].count("/") > 1


@dataclass(frozen=True)
class ModelSpec:
    """A checkpoint by name, and the layer that is read."""

    model: str
    """Hub id, `id@revision` or local folder."""
    revision: str | None = None
    """Branch, tag or commit on the Hub; None is the default branch."""
    layer: str | None = None
    """`penultimate` (None), `logits`, `hidden_states[i]` or a module's name, each optionally followed by `:pooling`."""

    @classmethod
    def parse(cls, model: str, revision: str | None = None, layer: str | None = None) -> "ModelSpec":
        """Split `id@revision`.

        Raises:
            RequestError: an empty name, or two revisions that differ.
        """
        name, at = split_revision(model)
        if not name:
            raise RequestError(f"model {model!r} is empty; give a Hub id, id@revision or a folder")
        if at and revision and at != revision:
            raise RequestError(f"model {model!r} and revision {revision!r} name two revisions; give one")
        return cls(name, at or revision, layer)

    @property
    def name(self) -> str:
        """`id`, `id@revision` or the folder: what the model is called in results."""
        return f"{self.model}@{self.revision}" if self.revision else self.model


@dataclass(frozen=True)
class DataSpec:
    """A split of images."""

    dataset: str
    """Hub id or local folder; for a dataset in memory, a description."""
    config_name: str | None = None
    split: str | None = None
    """None: `test`, `validation` or the only split."""
    revision: str | None = None
    """Branch, tag or commit on the Hub; None is the default branch."""
    image_column: str | None = None
    """None: the only column of type Image."""
    image_mode: ImageMode | None = None
    """None: the number of channels of the reference."""
    num_samples: int | None = None
    """None: all images. Otherwise this many, drawn from the split by a fixed permutation (a prefix of it, so that a
    smaller sample is part of a larger one); of a stream, the first ones."""

    def __post_init__(self) -> None:
        if self.num_samples is not None:
            check_count("num_samples", self.num_samples)
        if self.image_mode is not None:
            check_choice("image_mode", self.image_mode, get_args(ImageMode))


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
    """Where the descent begins; see `stir_hf.inversion.starts`."""
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
        ok = isinstance(self.tolerance, int | float) and math.isfinite(self.tolerance) and self.tolerance > 0
        if not ok or isinstance(self.tolerance, bool):
            raise RequestError(f"tolerance must be a positive number, not {self.tolerance!r}")
        if self.draws > 1 and self.start in {"white", "black"}:
            raise RequestError(f"draws={self.draws} with start={self.start!r} repeats the same inversion; use draws=1")

    @property
    def passes(self) -> int:
        """The most passes per image, the method's default filled in."""
        return DEFAULT_STEPS[self.method] if self.steps is None else self.steps


@dataclass(frozen=True)
class RunConfig:
    """Where and in what portions the work is done. Nothing here may change a score."""

    batch_size: int = 32
    device: str | None = None
    """`cpu`, `cuda`, `cuda:1`, `mps`, …; None takes the best there is."""
    dtype: DType = "float32"
    """Precision of the networks. The one option here that does change a score, and so part of what made it."""

    def __post_init__(self) -> None:
        check_count("batch_size", self.batch_size)
        check_choice("dtype", self.dtype, get_args(DType))
