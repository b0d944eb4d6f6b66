"""STIR between any two Hugging Face checkpoints: does this model ignore what that model ignores?

The measure is STIR (Nanda et al., "Measuring Representational Robustness of Neural Networks Through Shared
Invariances", ICML 2022, arXiv 2206.11939). The public names are imported when they are first used, so that
`import stir_hf` does not load torch or transformers.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from stir_hf._version import __version__

if TYPE_CHECKING:
    from stir_hf import similarity
    from stir_hf.api import compare, invert, matrix, score
    from stir_hf.data.inversions import Inversions
    from stir_hf.errors import RequestError, RunError
    from stir_hf.models.encoder import Encoder, load_encoder
    from stir_hf.results import Score, StirResult

_HOME = {
    "Encoder": "stir_hf.models.encoder",
    "Inversions": "stir_hf.data.inversions",
    "RequestError": "stir_hf.errors",
    "RunError": "stir_hf.errors",
    "Score": "stir_hf.results",
    "StirResult": "stir_hf.results",
    "compare": "stir_hf.api",
    "invert": "stir_hf.api",
    "load_encoder": "stir_hf.models.encoder",
    "matrix": "stir_hf.api",
    "score": "stir_hf.api",
}

__all__ = [
    "Encoder",
    "Inversions",
    "RequestError",
    "RunError",
    "Score",
    "StirResult",
    "__version__",
    "compare",
    "invert",
    "load_encoder",
    "matrix",
    "score",
    "similarity",
]


def __getattr__(name: str) -> Any:
    if name == "similarity":
        return import_module("stir_hf.similarity")
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'stir_hf' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
