"""The rows of an inversion set that are still to be made, and the check that the other rows are of
the same samples.
"""

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stir_hf.data.files import shards
from stir_hf.data.files.rows import STATUSES, UNREADABLE, Rows
from stir_hf.data.sets.labels import LABEL, renamed
from stir_hf.data.sources.canvases import Canvases
from stir_hf.data.sources.samples import Samples
from stir_hf.errors import RequestError

LOOKED_AT_AGAIN = 64
"""Number of finished samples without recorded bytes that are decoded again, evenly spread."""


@dataclass(frozen=True)
class Left:
    """The rows that are still to be made."""

    keys: NDArray[np.int64]
    """(n, 2): position and draw, sorted."""
    hashes: dict[int, str | None]
    """The canvas hashes of samples that have some rows, by index."""
    labels: dict[int, int | None] = field(default_factory=dict)
    """The labels of all samples by index, if the set has other labels or other class names."""


def left_of(
    folder: Path, canvases: Canvases, asked: NDArray[np.bool_], *, together: bool = False
) -> Left:
    """Find the missing rows of a set, and compare every sample that it holds with the data.

    The encoded bytes are compared by their hash. Samples with other bytes are decoded and compared
    by the hash of their canvas, so that the same values in another file count as the same. Of the
    samples without a hash of their bytes (in an older set, or at a URL), 64 are decoded.

    The folder may be empty; `asked` (positions, draws) is the mask of the requested rows. With
    `together`, an original lacks all its draws if it lacks one.

    Raises:
        RequestError: a sample has changed since it was inverted; or labels have changed, and the
            set also holds other samples, which would keep theirs.
    """
    files, missing = shards.files_of(folder), asked.copy()
    if not files:
        return Left(np.argwhere(missing), {})
    rows, order = Rows(files), canvases.samples.order
    index, draw, status = rows.columns("index", "draw", "status")
    sorter = np.argsort(order)
    place = sorter[np.searchsorted(order, index, sorter=sorter).clip(max=len(order) - 1)]
    selected = order[place] == index
    wanted = selected & (draw < asked.shape[1])
    done = wanted & (status != STATUSES.index(UNREADABLE))
    done[done] &= asked[place[done], draw[done]]
    missing[place[done], draw[done]] = False
    _check_bytes(rows, np.flatnonzero(done), place, canvases)
    labels, changed = _labels(rows, np.flatnonzero(done), place, canvases.samples)
    if changed and not selected.all():
        raise RequestError(
            f"labels of {canvases.samples.spec.dataset} have changed since it was inverted; repeat"
            f" the command with all samples that {folder} has, to update its labels, or choose"
            " another --out"
        )
    if together:
        missing = asked & np.any(missing, axis=1, keepdims=True)
    again = np.flatnonzero(wanted & np.any(missing, axis=1)[place])
    hashes = rows.values("canvas_hash", again)
    unfinished = dict(zip(index[again].tolist(), hashes, strict=True))
    return Left(np.argwhere(missing), unfinished, labels)


def _check_bytes(
    rows: Rows, numbers: NDArray[np.int64], place: NDArray[np.int64], canvases: Canvases
) -> None:
    numbers = numbers[np.argsort(place[numbers], kind="stable")]
    then, now = rows.values("file_hash", numbers), cache(canvases.samples.file_hash)
    pairs = [(old, old and now(int(place[n]))) for n, old in zip(numbers, then, strict=True)]
    unknown = numbers[np.array([None in pair for pair in pairs], bool)]
    _, firsts = np.unique(place[unknown], return_index=True)
    spread = np.linspace(0, len(firsts) - 1, min(len(firsts), LOOKED_AT_AGAIN)).round().astype(int)
    other = numbers[np.array([None not in pair and pair[0] != pair[1] for pair in pairs], bool)]
    again = np.concatenate([other, unknown[firsts[spread]]])
    canvases.check_again(place[again].tolist(), rows.values("canvas_hash", again))


def _labels(
    rows: Rows, numbers: NDArray[np.int64], place: NDArray[np.int64], samples: Samples
) -> tuple[dict[int, int | None], bool]:
    """The labels of samples by index, if one differs from that of its row or the classes have other
    names, and whether one differs. A set keeps its labels if its data has none now.
    """
    if samples.label_column is None or LABEL not in rows.schema.names:
        return {}, False
    now = [samples.label(int(place[number])) for number in numbers]
    changed = now != rows.values(LABEL, numbers)
    if not changed and not renamed(rows, samples.label_feature):
        return {}, False
    return dict(zip(samples.order[place[numbers]].tolist(), now, strict=True)), changed
