"""Orthogonal Procrustes distance (Ding, Denain and Steinhardt 2021; Schönemann 1966).

The least ‖X Q - Y‖² over orthogonal Q, of centred sides with unit Frobenius norm: 2 - 2 ‖XᵀY‖_*,
the nuclear norm. A distance: 0 of equal representations, 2 of unrelated ones; its square root is a
metric (Williams et al. 2021). Invariant to rotation, isotropic scaling and translation of either
side. Cost O(n d e + d e min(d, e)), and O(n³) in place of the last while n ≤ d.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch

from stir_hf.similarity.measure import MEASURES, Bounds, Closer
from stir_hf.similarity.pairs import Pairs
from stir_hf.similarity.shared import OfPairs


@MEASURES.add("procrustes")
@dataclass(frozen=True)
class Procrustes(OfPairs):
    """Orthogonal Procrustes distance in [0, 2] (Ding et al. 2021); smaller is closer."""

    least_rows: ClassVar[int] = 3
    has_debiased: ClassVar[bool] = False
    bounds: ClassVar[Bounds] = (0.0, 2.0)
    closer: ClassVar[Closer] = "smaller"

    def of(self, pairs: Pairs) -> float:
        """The distance, in [0, 2]."""
        pairs.check("procrustes", 3)
        xx, xy, yy = pairs.products()
        nuclear = torch.linalg.svdvals(xy).sum()
        return max(0.0, 2 - 2 * float(nuclear / (xx.trace() * yy.trace()).sqrt()))
