"""Checkpoints and modules as encoders: from inputs to representations (b, d)."""

from stir_hf.models.encoder import Encoder
from stir_hf.models.load.loading import load_encoder
from stir_hf.models.load.several import Model, as_encoders
from stir_hf.models.run.opened import LOOKED_AT, Opened, opened, try_kinds
from stir_hf.models.run.session import Session

__all__ = [
    "LOOKED_AT",
    "Encoder",
    "Model",
    "Opened",
    "Session",
    "as_encoders",
    "load_encoder",
    "opened",
    "try_kinds",
]
