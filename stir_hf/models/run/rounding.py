"""Notes on processors whose values the canvas rounds, such as those that resize floats."""

import torch

from stir_hf.models.preprocessing import extent_of
from stir_hf.models.run.session import Session

TOLD_ABOVE = 1e-4
"""Smallest relative change of a representation that gets a note."""


def rounding_notes(session: Session) -> tuple[str, ...]:
    """A note on the change of the representation of a fixed original through rounding, if any."""
    preprocessing = session.network.preprocessing
    if (pair := preprocessing.rounding(extent_of(session.reading.kind))) is None:
        return ()
    with torch.no_grad():
        meant, seen = (
            session(values.to(session.network.input_dtype)[None]).double() for values in pair
        )
    change = float((seen - meant).norm() / meant.norm())
    if not change > TOLD_ABOVE:
        return ()
    return (
        f"{preprocessing.processor} gives values that 8 bits do not hold; the canvas rounds them,"
        f" which changes the representation of a picture by {change:.2%}",
    )
