"""The cosine distance."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import cosine_similarity

from stir_hf.engine.objectives.base import OBJECTIVES, Objective, Seen


@OBJECTIVES.add("cosine")
@dataclass(frozen=True)
class Cosine(Objective):
    """1 - cos(f(x'), f(x)), which ignores the length of representations; in [0, 2]."""

    least_known: ClassVar[bool] = True

    def distance(self, seen: Seen) -> Tensor:
        """Return the cosine distance of the reference's representations."""
        return 1 - cosine_similarity(seen.representations[0], seen.targets[0], dim=1)
