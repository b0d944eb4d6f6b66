"""Scores as plain data, to and from JSON."""

from stir_hf.results.columns import Column, Told
from stir_hf.results.displacement import Difference, Displacement
from stir_hf.results.parts import (
    ANCHORS,
    Accepted,
    Anchors,
    Interval,
    Null,
    RelativeError,
    SpreadError,
)
from stir_hf.results.result import FILE_NAME, PER_IMAGE, StirResult, in_one_step
from stir_hf.results.scale import Scale
from stir_hf.results.score import (
    COMPARED,
    Score,
    number,
    published,
    score_columns,
    told_fields,
)

__all__ = [
    "ANCHORS",
    "COMPARED",
    "FILE_NAME",
    "PER_IMAGE",
    "Accepted",
    "Anchors",
    "Column",
    "Difference",
    "Displacement",
    "Interval",
    "Null",
    "RelativeError",
    "Scale",
    "Score",
    "SpreadError",
    "StirResult",
    "Told",
    "in_one_step",
    "number",
    "published",
    "score_columns",
    "told_fields",
]
