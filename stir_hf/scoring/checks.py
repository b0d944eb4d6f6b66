"""Options of scoring, and checks before any work."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stir_hf.data.sets.inversions import Inversions
from stir_hf.errors import RequestError, as_count
from stir_hf.models import LOOKED_AT, Encoder, Opened
from stir_hf.registry import option
from stir_hf.similarity import MEASURES, Measure, OfPairs
from stir_hf.similarity.null import LEAST

NONE = "none"
LEVEL = 0.95


@dataclass(frozen=True)
class JudgeConfig:
    """Options of the comparison of representations."""

    measure: Any = option(
        "linear_cka",
        "Similarity of representations; repeat it for several at once.",
        metavar="NAME",
        many=True,
        registry=MEASURES,
        accepts=Measure,
    )
    interval: float | str | None = option(
        None,
        "Level of the intervals of debiased scores over samples, or none. Default: 0.95 for"
        " measures that have one (linear_cka, rbf_cka).",
        metavar="LEVEL",
    )
    null: int = option(
        0, "Number of permutations of the inversions beside which a score is calibrated, or 0."
    )

    def __post_init__(self) -> None:
        given = self.measure if isinstance(self.measure, list | tuple) else [self.measure]
        measures = tuple(dict.fromkeys(MEASURES.parse(one) for one in given))
        if not measures:
            raise RequestError("no measure; give at least one, such as linear_cka")
        object.__setattr__(self, "measure", measures)
        object.__setattr__(self, "null", as_count("null", self.null, 0))
        self._check_interval()
        for one in measures:
            if self.null and not isinstance(one, OfPairs):
                raise RequestError(f"null={self.null}: measure {MEASURES.text(one)!r} has no null")

    def _check_interval(self) -> None:
        if self.interval is None or self.interval == NONE:
            return
        level = self.interval
        if isinstance(level, bool | str) or not 0 < level < 1:
            raise RequestError(f"interval must be a level between 0 and 1, or none, not {level!r}")
        for one in self.measure:
            if not has_interval(one):
                names = " and ".join(n for n in MEASURES.names if has_interval(MEASURES.parse(n)))
                raise RequestError(
                    f"interval={level}: measure {MEASURES.text(one)!r} has no interval; {names} do"
                )

    def level(self, measure: Measure) -> float | None:
        """The level of the intervals of a measure; None without intervals."""
        if self.interval == NONE or not has_interval(measure):
            return None
        return LEVEL if self.interval is None else float(self.interval)

    @property
    def keeps_rows(self) -> bool:
        """True if intervals or nulls need all rows."""
        return bool(self.null) or any(self.level(one) is not None for one in self.measure)

    @property
    def least(self) -> tuple[int, str]:
        """The least number of samples, and what needs them."""
        needs = [(one.least_rows, MEASURES.text(one)) for one in self.measure]
        if self.null:
            needs.append((LEAST, f"null={self.null}"))
        return max(needs)


def has_interval(measure: Measure) -> bool:
    """Return whether intervals of a measure are known."""
    return isinstance(measure, OfPairs) and measure.has_interval


def check_count(count: int | None, judge: JudgeConfig, dataset: str) -> None:
    """Raise RequestError if there are fewer samples than the scores need; None is unknown."""
    least, what = judge.least
    if count is not None and count < least:
        raise RequestError(
            f"num_samples={count} of {dataset} is too few: {what} needs at least {least} samples"
        )


def check(encoder: Encoder, sets: Sequence[Inversions], judge: JudgeConfig) -> None:
    """Check that a network can be scored on these inversions, before any work.

    Raises:
        RequestError: fewer originals than the scores need, or inputs of another kind than the
            network takes.
    """
    least, what = judge.least
    for one in sets:
        encoder.check_takes(one.kind)
        if (there := len(np.unique(one.index))) < least:
            raise RequestError(f"{what} needs at least {least} {one.kind.name}s, not {there}")


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
