"""How representations are compared, and what is known before any of it is done."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from stir_hf.data.sets.inversions import Inversions
from stir_hf.errors import RequestError
from stir_hf.models import LOOKED_AT, Encoder, Opened
from stir_hf.registry import option
from stir_hf.similarity import MEASURES, Measure


@dataclass(frozen=True)
class JudgeConfig:
    """How representations are compared."""

    measure: Measure = option(
        "linear_cka", "Similarity of representations.", metavar="NAME", registry=MEASURES
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "measure", MEASURES.parse(self.measure))


def check_count(images: int | None, measure: Measure, dataset: str) -> None:
    """Raise RequestError where fewer images are asked for, or there, than the measure needs; None:
    not known yet.
    """
    if images is not None and images < measure.least_rows:
        raise RequestError(
            f"num_samples={images} of {dataset} is too few: the measure needs at least"
            f" {measure.least_rows} images"
        )


def check(encoder: Encoder, sets: Sequence[Inversions], measure: Measure) -> None:
    """Whether a network can be judged on these inversions, before any of it is done.

    Raises:
        RequestError: fewer images than the measure needs, or images of another mode than the
            network takes.
    """
    for one in sets:
        encoder.check_takes(one.kind)
        if (there := len(np.unique(one.index))) < measure.least_rows:
            raise RequestError(
                f"{MEASURES.name_of(measure)} needs at least {measure.least_rows} images, not"
                f" {there}"
            )


def check_first(networks: Sequence[Opened], sets: Sequence[Inversions]) -> None:
    """Look at the first images: what is constant or not finite is known before any work.

    Raises:
        RunError: representations that are not finite, or the same for images that differ.
    """
    some = sets[0].pixels("image", range(min(LOOKED_AT, len(sets[0]))))
    _, differing = np.unique([image.tobytes() for image in some], return_index=True)
    for network in networks:
        network.check_varies(lambda count: torch.from_numpy(some[np.sort(differing)[:count]]))
