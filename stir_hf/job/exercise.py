"""Records of what a network makes of the images at hand, by which it is known again: noise, as in
the fixed probe, may not drive it as far as images do.
"""

from collections.abc import Sequence

import torch

from stir_hf.data.canvases import Canvas
from stir_hf.data.identity import probe_record
from stir_hf.inputs.base import Kind
from stir_hf.models import Opened

IMAGES = 4
"""So many of the first images that differ are recorded."""
VALUES = 128
"""So many values of each, at most."""
CONTRAST = 4.0
"""The distance of an image's values from their mean is multiplied by this, within the bounds."""


def image_records(
    network: Opened, kind: Kind, canvases: Sequence[Canvas]
) -> dict[str, list[float]]:
    """Some values of the representations of images and of the same at high contrast, by the hash
    of the image's canvas.
    """
    low, high = kind.bounds
    found = {}
    for canvas in canvases:
        image = torch.from_numpy(kind.values(canvas.array))
        sharp = (image.mean() + CONTRAST * (image - image.mean())).clamp(low, high)
        seen = network.represent(torch.stack((image, sharp))).cpu().double().numpy()
        found[canvas.hash] = probe_record(seen, VALUES)
    return found
