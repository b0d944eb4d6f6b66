"""The starts of an inversion set, as the engine used them, and the balls around them."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stir_hf.data.sets.inversions import Inversions
from stir_hf.engine import CONSTRAINTS, RULES, STARTS, Domain, start_value
from stir_hf.errors import RequestError

AT_ONCE = 64
"""Number of inversions in memory at a time."""


def first_inputs(
    inversions: Inversions, rows: NDArray[np.int64], originals: NDArray[np.float32]
) -> NDArray[np.float32]:
    """(b, *shape): the starts as the engine stores them where the first iterate is the best."""
    rule, domain = RULES.build(inversions.engine["method"]), domain_of(inversions)
    starts = unprojected(inversions, rows, originals)
    centre = domain.centre(starts, torch.from_numpy(originals))
    first = domain.first(starts.clone(), centre, projected=rule.projects_start)
    values = domain.inputs(domain.project(first, centre)).numpy()
    return values if domain.bounds is None else values.clip(*domain.bounds)


def domain_of(inversions: Inversions) -> Domain:
    """The domain in which a set was made."""
    constraint, kind = CONSTRAINTS.build(inversions.engine["constraint"]), inversions.kind
    return Domain(constraint, kind.space, kind.bounds)


def largest_outside(inversions: Inversions) -> float:
    """The largest distance by which a stored inversion lies outside the ball of its set; 0 without
    a ball.
    """
    try:
        domain = domain_of(inversions)
        if domain.constraint.around is None:
            return 0.0
        batches = inversions.batches(AT_ONCE)
        return max(float(_outside(inversions, rows, domain).max()) for rows in batches)
    except RequestError:  # a constraint or a start of a later version
        return 0.0


def _outside(inversions: Inversions, rows: NDArray[np.int64], domain: Domain) -> Tensor:
    """(b,): the distance by which some stored inversions lie outside their ball."""
    originals = inversions.originals_of(rows)
    around = torch.from_numpy(originals)
    if domain.constraint.around == "start":
        around = unprojected(inversions, rows, originals)
    centre = domain.centre(around, around)
    stored = torch.from_numpy(inversions.values("inverted", rows))
    return domain.constraint.outside(stored, centre)


def unprojected(
    inversions: Inversions, rows: NDArray[np.int64], originals: NDArray[np.float32]
) -> Tensor:
    """(b, *shape): the starts from which the stored inversions came."""
    if "start" in inversions.features:
        return torch.from_numpy(inversions.values("start", rows))
    if "start_index" in inversions.features:
        return torch.from_numpy(inversions.originals_at(inversions.starts_of(rows)))
    keys = zip(
        inversions.index[rows], inversions.draw[rows], inversions.restarts(rows), strict=True
    )
    return torch.stack(
        [
            start_of(inversions, *map(int, key)) * inversions.kind.scale(original)
            for key, original in zip(keys, originals, strict=True)
        ]
    )


def start_of(inversions: Inversions, index: int, draw: int, again: int = 0) -> Tensor:
    """The start of an original, a draw and a restart, drawn again: (*shape), neither scaled nor
    projected.
    """
    engine = inversions.engine
    start, shape = STARTS.build(engine["start"]), inversions.kind.shape
    how: Any = {"seed": engine["seed"], "index": index, "draw": draw, "again": again}
    return start_value(start, shape, **how)
