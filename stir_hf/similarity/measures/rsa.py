"""Representational similarity analysis (Kriegeskorte, Mur and Bandettini 2008).

Spearman's rank correlation, over all pairs of different rows, of the distances within X with those
within Y; equal distances share their mean rank. Distances are 1 - r, r Pearson's correlation of two
rows over the columns, or Euclidean with `distance=euclidean`. Correlation distances are invariant
to scaling and shift of each row; Euclidean ones to rotation, isotropic scaling and translation.
Cost O(n² (d + e + log n)) time and O(n²) memory.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from scipy.stats import rankdata
from torch import Tensor

from stir_hf.errors import check_choice
from stir_hf.registry import option
from stir_hf.similarity.measure import MEASURES, Bounds, Closer
from stir_hf.similarity.measures.rbf_cka import squared_distances
from stir_hf.similarity.pairs import Pairs
from stir_hf.similarity.shared import OfPairs


@MEASURES.add("rsa")
@dataclass(frozen=True)
class RSA(OfPairs):
    """Rank correlation of distances between rows (Kriegeskorte et al. 2008)."""

    distance: str = option("correlation", "correlation or euclidean.")

    least_rows: ClassVar[int] = 3
    has_debiased: ClassVar[bool] = False
    bounds: ClassVar[Bounds] = (-1.0, 1.0)
    closer: ClassVar[Closer] = "larger"
    needs_rows: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_choice("distance", self.distance, ("correlation", "euclidean"))

    def of(self, pairs: Pairs) -> float:
        """Spearman's ρ of the distances, in [-1, 1]."""
        pairs.check("rsa", 3)
        ranks = [torch.from_numpy(rankdata(self._distances(rows))) for rows in pairs.rows()]
        x, y = (rank - rank.mean() for rank in ranks)
        norms = torch.linalg.vector_norm(x) * torch.linalg.vector_norm(y)
        if not norms > 0:
            raise ValueError("rsa is undefined: all rows of a side are equally far from each other")
        return float(x @ y / norms)

    def _distances(self, rows: Tensor) -> Tensor:
        """(n (n - 1) / 2,): the distances of all pairs of different rows, to 12 digits, so that
        equal ones stay equal.
        """
        if self.distance == "correlation":
            rows = rows - rows.mean(1, keepdim=True)
            norms = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
            if not bool((norms > 0).all()):
                raise ValueError(
                    "rsa is undefined: all columns of a row are equal; use rsa:distance=euclidean"
                )
            rows = rows / norms
        else:
            rows = rows - rows.mean(0)
            rows = rows / torch.linalg.vector_norm(rows) * len(rows) ** 0.5
        above = torch.triu_indices(len(rows), len(rows), 1)
        return squared_distances(rows)[above[0], above[1]].round(decimals=12)
