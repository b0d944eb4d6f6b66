"""Canvases as the inputs of a network."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from stir_hf.data.sources.canvases import Canvas
from stir_hf.inputs.base import Kind


def inputs_of(kind: Kind, canvases: Sequence[Canvas]) -> tuple[Tensor, dict[str, Tensor]]:
    """Values (b, *shape) and their context, with a row for each canvas."""
    values = torch.from_numpy(np.stack([kind.values(canvas.array) for canvas in canvases]))
    rows = [kind.context(canvas.array) for canvas in canvases]
    context = {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}
    return values, context
