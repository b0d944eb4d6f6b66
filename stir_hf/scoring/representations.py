"""Representations by the judged model and the reference, accumulated batch by batch."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stir_hf.data.sets.inversions import Inversions
from stir_hf.engine import Context
from stir_hf.errors import RunError
from stir_hf.models import Opened
from stir_hf.results import Displacement
from stir_hf.runtime import Processes, Progress
from stir_hf.scoring.checks import JudgeConfig
from stir_hf.scoring.starts import first_inputs
from stir_hf.scoring.statistics import cluster_labels
from stir_hf.similarity.several import Several

Parts = list[dict[str, Several]]
"""For each group of rows, an accumulator per anchor."""
KEPT = "stir"
"""The anchor whose rows intervals and nulls need."""


def accumulate(
    network: Opened,
    inversions: Inversions,
    judge: JudgeConfig,
    anchors: Sequence[str],
    groups: Sequence[NDArray[np.bool_]],
    batch_size: int,
    processes: Processes,
    progress: Progress,
) -> tuple[Parts, Displacement]:
    """Represent all batches of a set, and return accumulators and the displacement of each pair.
    `groups` are masks (n,) of the rows that are compared with each other.

    Every process takes a share of the batches; the main process gets the totals, as sums or, with
    fewer rows than columns or where rows are kept, as rows; kept rows are in the order of the set.

    Raises:
        RequestError: the network depends on the other rows of a batch.
        RunError: a representation that is not finite.
    """
    keep = judge.keeps_rows
    parts: Parts = [
        {n: Several(judge.measure, keep=keep and n == KEPT) for n in anchors} for _ in groups
    ]
    moves = np.zeros((2, len(inversions)), np.float32)
    batches = list(inversions.batches(batch_size))
    mine = (len(batches) * rank // processes.count for rank in (processes.rank, processes.rank + 1))
    batches = batches[slice(*mine)]
    for i, rows in enumerate(batches):
        processes.check()
        looked_at = i in (0, len(batches) - 1)
        pairs = dict(_pairs(network, inversions, rows, anchors, check=looked_at))
        for group, part in zip(groups, parts, strict=True):
            add(part, pairs, torch.from_numpy(group[rows]))
        moves[:, rows] = _moves(*pairs["stir"])
        progress.add(len(rows))
    parts, moves = processes.merged((parts, moves), _merged)
    order = np.concatenate([*inversions.batches(batch_size), np.empty(0, np.int64)])
    for group, part in zip(groups, parts if processes.main else [], strict=False):
        for one in part.values():  # rows come in the order on disk
            one.pairs.reorder(np.argsort(order[group[order]]))
    distance, cosine = moves
    errors = inversions.relative_error
    clusters = cluster_labels(inversions)
    return parts, Displacement(
        inversions.index, inversions.draw, distance, cosine, errors, clusters
    )


def add(
    part: Mapping[str, Several], pairs: Mapping[str, tuple[Tensor, Tensor]], here: Tensor
) -> None:
    """Add the pairs of rows where `here` is true to the accumulator of their anchor. Rows of
    several anchors are copied once, and shared by accumulators that support it.
    """
    chosen = {id(rows): rows[here] for pair in pairs.values() for rows in pair}
    for name, (x, y) in pairs.items():
        part[name].adopt(chosen[id(x)], chosen[id(y)])


_Seen = tuple[Parts, NDArray[np.float32]]


def _merged(mine: _Seen, other: _Seen) -> _Seen:
    """The total of two processes; the displacements of each are 0 in the rows of the other."""
    for part, of_other in zip(mine[0], other[0], strict=True):
        for name, accumulator in part.items():
            accumulator.merge(of_other[name])
    return mine[0], mine[1] + other[1]


def _moves(original: Tensor, inverted: Tensor) -> NDArray[np.float32]:
    """(2, b): relative distance and cosine of each pair of rows; NaN if a row is zero."""
    x, y = original.double(), inverted.double()
    norm = x.norm(dim=1)
    distance = (y - x).norm(dim=1) / norm
    cosine = (x * y).sum(1) / (norm * y.norm(dim=1))
    return torch.stack((distance, cosine)).float().numpy()


def _pairs(
    network: Opened,
    inversions: Inversions,
    rows: NDArray[np.int64],
    anchors: Sequence[str],
    *,
    check: bool,
) -> Iterator[tuple[str, tuple[Tensor, Tensor]]]:
    """For stir, similarity, ceiling and, if it is an anchor, floor: the two sides to compare."""
    originals = inversions.originals_of(rows)
    context = {n: torch.from_numpy(v) for n, v in inversions.contexts(rows).items()}
    original = _represent(network, originals, context)
    if check:
        network.check_alone(torch.from_numpy(originals), original, context)
    own, own_inverted = (
        torch.from_numpy(inversions.vectors(f"representation{suffix}", rows))
        for suffix in ("", "_inverted")
    )
    inverted = _represent(network, inversions.values("inverted", rows), context)
    yield "stir", (original, inverted)
    yield "similarity", (own, original)
    yield "ceiling", (own, own_inverted)
    if "floor" in anchors:
        starts = first_inputs(inversions, rows, originals)
        yield "floor", (original, _represent(network, starts, context))


def _represent(network: Opened, values: NDArray[np.float32], context: Context) -> Tensor:
    representation = network.represent(torch.from_numpy(values), context).cpu()
    if not bool(representation.isfinite().all()):
        raise RunError(f"{network.where}: a representation is not finite")
    return representation
