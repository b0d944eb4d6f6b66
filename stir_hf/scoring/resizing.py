"""What the reference's canvas does to a model that would resize and crop the images otherwise."""

from collections.abc import Iterator
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from stir_hf.data.sets.inversions import Inversions
from stir_hf.data.sources.samples import Samples
from stir_hf.errors import one_line
from stir_hf.models import Opened

LOOKED_AT = 8
"""So many images are represented both ways."""
TOLD_ABOVE = 0.01
"""A smaller relative difference is not worth a note."""


def canvas_note(network: Opened, inversions: Inversions, samples: Samples | None) -> str | None:
    """What the canvas changes for a judged model, where its representations of the first images
    move by more than 1 %: between what its own processor makes of an image, and the reference's
    canvas, resized to its native size.

    Args:
        network: the model.
        inversions: a set with at least one image.
        samples: the images before the reference's processor; None where these are not there. Then
            its own processor is given the canvas, and only asked where the two sizes differ.

    Returns:
        The note, with the median of |canvas - own| / |own| over at most 8 images; None where there
        is nothing to say, or the model takes images of any size as they are.
    """
    native = network.encoder.size
    if native is None or (samples is None and native == inversions.size):
        return None
    rows = np.unique(inversions.index, return_index=True)[1][:LOOKED_AT]
    canvases = inversions.pixels("image", rows)
    sizes = " to ".join("x".join(map(str, size)) for size in (inversions.size, native))
    try:
        own = _own(network, _originals(inversions, rows, canvases, samples))
    except Exception as error:  # processors fail in many ways
        return (
            f"{network.label}: what the canvas changes is not known ({sizes}); its own processor"
            f" fails: {one_line(error)}"
        )
    seen, meant = (network.represent(torch.from_numpy(x)).double() for x in (canvases, own))
    changes = ((seen - meant).norm(dim=1) / meant.norm(dim=1)).tolist()
    if not (change := median(changes)) > TOLD_ABOVE:
        return None
    what = "those images" if samples is not None else "the canvas"
    if native == inversions.size:
        rounds = network.encoder.pixels.rounds
        how = f"the reference's crop{', resize or rounding' if rounds else ' or resize'}"
    else:
        how = f"the canvas, its crop and the resize from it ({sizes}),"
    return (
        f"{network.label}: {how} changes its representation of {len(rows)} images by {change:.0%}"
        f" (median), against what its own processor, crop included, makes of {what}"
    )


def _own(network: Opened, originals: Iterator[Any]) -> NDArray[np.float32]:
    """(b, *shape): originals as the model's own processor makes them, not rounded to 8 bits."""
    values = [network.encoder.pixels.values(original) for original in originals]
    return torch.stack(values).float().numpy()


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
        yield samples.sample(int(position)).image
