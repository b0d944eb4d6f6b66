"""Options of scoring, and checks before any work."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from stir_hf.data.sets.inversions import Inversions
from stir_hf.errors import RequestError
from stir_hf.models import LOOKED_AT, Encoder, Opened
from stir_hf.registry import option
from stir_hf.similarity import MEASURES, Measure


@dataclass(frozen=True)
class JudgeConfig:
    """Options of the comparison of representations."""

    measure: Measure = option(
        "linear_cka", "Similarity of representations.", metavar="NAME", registry=MEASURES
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "measure", MEASURES.parse(self.measure))


def check_count(count: int | None, measure: Measure, dataset: str) -> None:
    """Raise RequestError if there are fewer samples than the measure needs; None is unknown."""
    if count is not None and count < measure.least_rows:
        raise RequestError(
            f"num_samples={count} of {dataset} is too few: the measure needs at least"
            f" {measure.least_rows} samples"
        )


def check(encoder: Encoder, sets: Sequence[Inversions], measure: Measure) -> None:
    """Check that a network can be scored on these inversions, before any work.

    Raises:
        RequestError: fewer originals than the measure needs, or inputs of another kind than the
            network takes.
    """
    for one in sets:
        encoder.check_takes(one.kind)
        if (there := len(np.unique(one.index))) < measure.least_rows:
            raise RequestError(
                f"{MEASURES.name_of(measure)} needs at least {measure.least_rows}"
                f" {one.kind.name}s, not {there}"
            )


def check_first(networks: Sequence[Opened], sets: Sequence[Inversions]) -> None:
    """Check the first originals, before any work, for representations that are constant or not
    finite.

    Raises:
        RunError: representations that are not finite, or equal for distinct originals.
    """
    first = sets[0]
    rows = range(min(LOOKED_AT, len(first)))
    some = first.originals_of(rows)
    _, differing = np.unique([one.tobytes() for one in some], return_index=True)
    context = {n: torch.from_numpy(v) for n, v in first.contexts(rows).items()}

    def few(count: int) -> tuple[Tensor, dict[str, Tensor]]:
        chosen = np.sort(differing)[:count]
        return torch.from_numpy(some[chosen]), {n: v[chosen] for n, v in context.items()}

    for network in networks:
        network.check_varies(few)
