"""The part of an inversion set that is still to be made, and the check that the rest is of the same
samples.
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
"""So many finished samples whose bytes are not known are decoded again, evenly spread."""


@dataclass(frozen=True)
class Left:
    """The rows that are still to be made."""

    keys: NDArray[np.int64]
    """(n, 2): position and draw, sorted."""
    hashes: dict[int, str | None]
    """The canvas hashes of those samples of which some rows are there, by index."""
    labels: dict[int, int | None] = field(default_factory=dict)
    """The labels of all samples, by index, where the set has others, or other names of classes."""


def left_of(folder: Path, canvases: Canvases, asked: NDArray[np.bool_]) -> Left:
    """Find what is missing of a set, and compare every sample that it holds with the data.

    The encoded bytes are compared by their hash; samples whose bytes differ are decoded, and
    compared by the hash of their canvas, so that the same pixels in another file are the same. Of
    those whose bytes are not known, then or now (a set of before they were recorded; images behind
    an address), 64 are decoded.

    Args:
        folder: of the set; it may be empty.
        canvases: of the samples.
        asked: (positions, draws): which rows are wanted.

    Raises:
        RequestError: a sample that has changed since it was inverted; labels that have, while the
            set holds other samples, too, which would keep theirs.
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
            f"labels of {canvases.samples.spec.dataset} have changed since its images were"
            f" inverted; ask for all images that {folder} holds, which corrects them there, or"
            " choose another --out"
        )
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
    """Return the labels of samples by index, where one differs from that of its row or the classes
    have other names, and whether one differs; those of a set stay as they are where its data has
    none now.
    """
    if samples.label_column is None or LABEL not in rows.schema.names:
        return {}, False
    now = [samples.label(int(place[number])) for number in numbers]
    changed = now != rows.values(LABEL, numbers)
    if not changed and not renamed(rows, samples.label_feature):
        return {}, False
    return dict(zip(samples.order[place[numbers]].tolist(), now, strict=True)), changed
