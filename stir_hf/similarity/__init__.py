"""Measures of representational similarity: each a pure function, beside an accumulator that can be
merged.

`linear_cka` and `debiased_cka` take two arrays of shapes (n, d) and (n, e), row i of both being
the same input. A measure is one file of `measures`, where it enters itself in `MEASURES`.
"""

from stir_hf.similarity.measure import (
    MEASURES,
    Accumulator,
    Adopting,
    Bounds,
    Closer,
    ConstantError,
    Measure,
)
from stir_hf.similarity.measures.linear_cka import LinearCKA, debiased_cka, linear_cka
from stir_hf.similarity.shared import OfPairs

__all__ = [
    "MEASURES",
    "Accumulator",
    "Adopting",
    "Bounds",
    "Closer",
    "ConstantError",
    "LinearCKA",
    "Measure",
    "OfPairs",
    "debiased_cka",
    "linear_cka",
]
