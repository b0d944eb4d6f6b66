"""Preprocessing without a network: of one that has no processor, and of one that is not loaded."""

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from stir_hf.inputs.base import Kind
from stir_hf.inputs.images import ImageKind
from stir_hf.models.images.image_processors import given_processor
from stir_hf.models.images.pixels import own_size
from stir_hf.models.images.processors import understand
from stir_hf.models.preprocessing import Preprocessing
from stir_hf.models.vectors.plain import PlainVectors


def plain_preprocessing(modality: str) -> Preprocessing:
    """Preprocessing that changes nothing: images in [0, 1] at their own size, or vectors."""
    return own_size(3) if modality == ImageKind.name else PlainVectors()


def canvas_maker(
    model: str, kind: Kind, *, trust_remote_code: bool
) -> Callable[[Any], NDArray[Any]]:
    """The map from an original to the canvas of a network; see `Encoder.canvas`. Of a checkpoint,
    only its configuration files are fetched.

    Raises:
        RequestError: no such model, or no image processor that loads here.
    """
    if not isinstance(kind, ImageKind):
        return plain_preprocessing(kind.name).canvas
    processor = given_processor(model, trust_remote_code=trust_remote_code)
    return understand(processor, kind.shape[0], kind.size).canvas
