"""The request for data: a split of a dataset, by name."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import datasets

from stir_hf.errors import RequestError, as_count, check_choice, check_text
from stir_hf.hub import split_revision
from stir_hf.registry import option

ImageMode = Literal["RGB", "L"]

STREAM_LIMIT = 1_000_000
"""Default limit on the samples of a generator, whose length is unknown."""


@dataclass(frozen=True)
class DataSpec:
    """The request for a split of a dataset."""

    dataset: str
    """Hub id or local folder; for a dataset in memory, a description."""
    config_name: str | None = option(None, "Configuration of the dataset.", metavar="NAME")
    split: str | None = option(
        None, "Split; default: test, validation or the only one.", metavar="NAME"
    )
    revision: str | None = None
    """Branch, tag or commit on the Hub; None for the default branch."""
    image_column: str | None = option(
        None,
        "Column of images (inside another column NAME.FIELD or NAME[0]) or of vectors; default: the"
        " only column of images, else of vectors.",
        metavar="NAME",
    )
    image_mode: ImageMode | None = option(
        None, "RGB or L (grey); default: the mode that the models take.", metavar="MODE"
    )
    num_samples: int | None = option(
        None,
        "Number of samples, in a fixed random order of the split; default: all. A larger number"
        " later continues the same inversions.",
        metavar="N",
    )

    streaming: bool = option(
        False,
        "Read the split row by row, without downloading all of it, and take its first samples.",
    )
    shuffle_buffer: int | None = option(
        None,
        "Size of the shuffle buffer of a stream (fixed seed); default: no shuffling.",
        metavar="N",
    )
    stream_limit: int | None = option(
        None,
        "Refuse a stream with more samples than this, unless --num-samples is given; default:"
        " 1000000 for a generator, no limit for files and data in memory.",
        metavar="N",
    )

    def __post_init__(self) -> None:
        for name in ("shuffle_buffer", "num_samples", "stream_limit"):
            if (count := getattr(self, name)) is not None:
                object.__setattr__(self, name, as_count(name, count))
        if self.image_mode is not None:
            check_choice("image_mode", self.image_mode, get_args(ImageMode))
        split: Any = self.split
        if isinstance(split, datasets.NamedSplit):
            object.__setattr__(self, "split", str(split))
        for name in ("config_name", "split", "image_column"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, str) and value):
                raise RequestError(f"{name} must be a name, not {value!r}")
        check_text("dataset", self.dataset)
        if not self.dataset:
            raise RequestError("the dataset's name is empty; give a Hub id or a folder")


def check_stream_options(spec: DataSpec, *, stream: bool) -> None:
    """Raise RequestError if an option for streams is given without a stream."""
    if spec.shuffle_buffer is not None and not stream:
        raise RequestError(
            "shuffle_buffer is only for streams; other data is always taken in a fixed random order"
        )
    if spec.stream_limit is not None and not stream:
        raise RequestError("stream_limit is only for streams; use num_samples")


def check_limit(count: int, spec: DataSpec) -> None:
    """Raise RequestError if a stream exceeds its limit."""
    if (most := limit_of(spec)) is not None and count > most:
        raise RequestError(
            f"{spec.dataset} has more than {most} samples and an unknown length; give num_samples,"
            f" or a stream_limit above {most}"
        )


def limit_of(spec: DataSpec) -> int | None:
    """The limit on the samples of a stream if `num_samples` is not given; None for no limit."""
    return None if spec.num_samples is not None else spec.stream_limit


def with_limit(spec: DataSpec) -> DataSpec:
    """Return `spec` with a limit, for a stream that may be endless."""
    return spec if spec.stream_limit else replace(spec, stream_limit=STREAM_LIMIT)


def check_enough(there: int, spec: DataSpec) -> None:
    """Raise RequestError if there are fewer samples than requested."""
    if there < (spec.num_samples or 1):
        asked = f"{spec.num_samples} samples" if spec.num_samples else "at least one sample"
        where = f" split {spec.split}" if spec.split else ""
        raise RequestError(f"{asked} requested, but {spec.dataset}{where} has {there}")


def described(data: Any) -> dict[str, str | None]:
    """The fields of `DataSpec` that follow from the argument `data`: a name and a revision, or a
    description.
    """
    if not isinstance(data, str | Path):
        return {"dataset": "a dataset in memory"}
    name, revision = split_revision(str(data), "dataset")
    return {"dataset": name, "revision": revision}
