"""Notes on processors whose values the canvas rounds, such as those that resize floats."""

import torch

from stir_hf.models.read.probing import Reading
from stir_hf.models.run.session import Session

TOLD_ABOVE = 1e-4
"""A smaller relative change of a representation is not worth a note."""


def rounding_notes(session: Session, reading: Reading) -> tuple[str, ...]:
    """The note of an open session, if there is one: the change that rounding makes to the
    representation of a fixed original.
    """
    preprocessing = session.network.preprocessing
    extent = tuple(reading.kind.shape[axis] for axis in reading.kind.space)
    if (pair := preprocessing.rounding(extent)) is None:
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
