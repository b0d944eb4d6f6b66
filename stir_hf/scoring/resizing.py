"""The effect of the reference's canvas on a model with other preprocessing."""

from collections.abc import Iterator
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from stir_hf.data.sets.inversions import Inversions
from stir_hf.data.sources.samples import Samples
from stir_hf.errors import one_line
from stir_hf.inputs.base import Kind
from stir_hf.models import Opened

LOOKED_AT = 8
"""Number of originals that are represented with both kinds of preprocessing."""
TOLD_ABOVE = 0.01
"""Smallest relative difference that gets a note."""


def canvas_note(network: Opened, inversions: Inversions, samples: Samples | None) -> str | None:
    """A note on the canvas, if it changes a judged model's representations of the first originals
    by more than 1 %, compared with the model's own preprocessing: with the median of |canvas - own|
    / |own| over at most 8 originals. None if the model takes inputs of any size.

    `samples` are the originals before the reference's preprocessing. Without them the model's own
    processor gets the canvas, and only if the two sizes differ.
    """
    encoder, kind = network.encoder, inversions.kind
    own_kind = encoder.own(kind)
    if encoder.extent is None or (samples is None and own_kind == kind):
        return None
    rows = np.unique(inversions.index, return_index=True)[1][:LOOKED_AT]
    canvases = inversions.originals_of(rows)
    sizes = " to ".join(_size(one) for one in (kind, own_kind))
    try:
        originals = _originals(inversions, rows, canvases, samples)
        own = torch.stack([encoder.preprocessing.values(original) for original in originals])
    except Exception as error:  # processors fail in many ways
        return (
            f"{network.label}: the effect of the canvas is not known ({sizes}); its own processor"
            f" fails: {one_line(error)}"
        )
    given = (torch.from_numpy(canvases), own.float())
    seen, meant = (network.represent(values).double() for values in given)
    changes = ((seen - meant).norm(dim=1) / meant.norm(dim=1)).tolist()
    if not (change := median(changes)) > TOLD_ABOVE:
        return None
    seen_as = "" if own_kind == kind else f" ({_size(kind)}, resized to {_size(own_kind)})"
    of_what = "" if samples is not None else " of the canvas"
    return (
        f"{network.label}: under the reference's preprocessing{seen_as}, its representations of"
        f" {len(rows)} {kind.name}s differ by {change:.0%} (median) from those under its own"
        f" preprocessing{of_what}"
    )


def _size(kind: Kind) -> str:
    """The lengths of the axes of space, such as `224x224`."""
    return "x".join(str(kind.shape[axis]) for axis in kind.space)


def _originals(
    inversions: Inversions,
    rows: NDArray[np.int64],
    canvases: NDArray[np.float32],
    samples: Samples | None,
) -> Iterator[Any]:
    if samples is None:
        yield from (inversions.kind.store(canvas, exact=False) for canvas in canvases)
        return
    for row in rows:
        (position,) = np.flatnonzero(samples.order == inversions.index[row])
        yield samples.sample(int(position)).original
