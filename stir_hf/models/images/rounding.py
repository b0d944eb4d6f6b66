"""What the canvas changes where a processor gives values that 8 bits do not hold, as one that
resizes floats.
"""

import torch

from stir_hf.models.images.processors import picture
from stir_hf.models.run.session import Session

TOLD_ABOVE = 1e-4
"""A smaller relative change of a representation is not worth a note."""


def rounding_notes(session: Session) -> tuple[str, ...]:
    """The note of an open session, if there is one: what the rounding changes on a fixed picture.

    The network must have a processor; of one that keeps the size of an image, the picture has the
    size on which the network was tried.
    """
    network = session.network
    if not network.pixels.rounds:
        return ()
    height, width = (375, 500) if network.pixels.size else session.reading.size
    exact = network.pixels.values(picture(width, height)).to(network.image_dtype)
    if network.pixels.size is None and exact.shape[1:] != (height, width):
        return ()  # the network may not take it
    rounded = (exact.clamp(0, 1) * 255).round() / 255
    with torch.no_grad():
        meant, seen = (session(values[None]).double() for values in (exact, rounded))
    change = float((seen - meant).norm() / meant.norm())
    if not change > TOLD_ABOVE:
        return ()
    return (
        f"{network.pixels.processor} gives values that 8 bits do not hold; the canvas rounds them,"
        f" which changes the representation of a picture by {change:.2%}",
    )
