"""A split of images by name."""

from dataclasses import dataclass
from typing import Literal, get_args

from stir_hf.errors import check_choice, check_count

ImageMode = Literal["RGB", "L"]


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
