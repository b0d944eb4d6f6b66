"""Preprocessing for modules that normalise their inputs themselves, by kind of input."""

from stir_hf.models.images.pixels import own_size
from stir_hf.models.preprocessing import Preprocessing
from stir_hf.models.vectors.plain import PlainVectors


def plain_preprocessing(modality: str) -> Preprocessing:
    """Preprocessing that changes nothing: images in [0, 1] at their own size, or vectors."""
    return own_size(3) if modality == "image" else PlainVectors()
