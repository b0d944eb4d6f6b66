"""Records of what a network makes of the images at hand, by which it is known again: noise, as in
the fixed probe, may not drive it as far as images do.
"""

from collections.abc import Sequence

import numpy as np
import torch

from stir_hf.data.identity import probe_record
from stir_hf.data.images.canvases import Canvas
from stir_hf.inputs.base import Kind
from stir_hf.models import Opened

IMAGES = 4
"""Number of the first images that differ which are recorded."""
VALUES = 128
"""Most values of each."""
CONTRAST = 4.0
"""The distance of an image's values from their mean is multiplied by this, within the bounds."""


def image_records(
    network: Opened, kind: Kind, canvases: Sequence[Canvas]
) -> dict[str, list[float]]:
    """Some values of the representations of images and of the same at high contrast, by the hash
    of the image's canvas.
    """
    low, high = kind.bounds or (None, None)
    images = [torch.from_numpy(kind.values(canvas.array)) for canvas in canvases]
    sharp = [(x.mean() + CONTRAST * (x - x.mean())).clamp(low, high) for x in images]
    seen = network.represent(torch.stack((*images, *sharp))).cpu().double().numpy()
    pairs = zip(canvases, seen[: len(images)], seen[len(images) :], strict=True)
    return {canvas.hash: probe_record(np.stack(pair), VALUES) for canvas, *pair in pairs}
