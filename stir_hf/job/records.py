"""Records of a network's representations of the first originals, by which it is recognised.
Originals activate a network more than the noise of the fixed probe.
"""

from collections.abc import Sequence

import numpy as np
import torch

from stir_hf.data.identity import probe_record
from stir_hf.data.sources.canvases import Canvas
from stir_hf.job.inputs import inputs_of
from stir_hf.models import Opened

FIRST = 4
"""Number of distinct first originals that are recorded."""
VALUES = 128
"""Maximum number of values of each."""
CONTRAST = 4.0
"""The factor of the distance of an original's values from their mean, within the bounds."""


def records_of(network: Opened, canvases: Sequence[Canvas]) -> dict[str, list[float]]:
    """Some values of the representations of originals, and of high-contrast copies of them, by
    canvas hash.
    """
    kind = network.kind
    values, context = inputs_of(kind, canvases)
    rows = values.flatten(1)
    mean = rows.mean(1, keepdim=True)
    sharp = (mean + CONTRAST * (rows - mean)).view_as(values)
    if kind.bounds is not None:
        sharp = sharp.clamp(*kind.bounds)
    twice = {name: torch.cat((tensor, tensor)) for name, tensor in context.items()}
    seen = network.represent(torch.cat((values, sharp)), twice).cpu().double().numpy()
    pairs = zip(canvases, seen[: len(values)], seen[len(values) :], strict=True)
    return {canvas.hash: probe_record(np.stack(pair), VALUES) for canvas, *pair in pairs}
