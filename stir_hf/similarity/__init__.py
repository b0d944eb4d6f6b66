"""Measures of representational similarity: each a pure function, beside an accumulator that can be merged.

`linear_cka` and `debiased_cka` take two arrays of shapes (n, d) and (n, e), row i of both being the same input.
"""

from stir_hf.similarity.cka import LinearCKA, debiased_cka, linear_cka

__all__ = ["LinearCKA", "debiased_cka", "linear_cka"]
