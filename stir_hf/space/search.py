"""Search for models on the Hub while a visitor types."""

import threading
from functools import lru_cache
from typing import Any

import gradio as gr

from stir_hf.demo import MODELS

TASKS = (
    "image-classification",
    "image-feature-extraction",
    "zero-shot-image-classification",
    "image-segmentation",
    "object-detection",
    "depth-estimation",
    "feature-extraction",
    None,
)
"""Tasks on the Hub whose models take images, or may take them."""
FOUND = 8
_SEARCHES = threading.BoundedSemaphore(4)


def search(key: gr.KeyUpData) -> Any:
    """Offer the embedded models, and models on the Hub whose names contain what was typed."""
    words = str(key.input_value or "").strip()[:80]
    found: tuple[str, ...] = ()
    if len(words) >= 3 and words not in MODELS and _SEARCHES.acquire(blocking=False):
        try:
            found = _found(words)
        except Exception:  # the Hub cannot be reached: the same words are searched again later
            found = ()
        finally:
            _SEARCHES.release()
    return gr.update(choices=[*MODELS, *found])


@lru_cache(maxsize=256)
def _found(words: str) -> tuple[str, ...]:
    import huggingface_hub

    hub = huggingface_hub.HfApi(token=False)
    models = hub.list_models(search=words, filter="transformers", sort="downloads", limit=40)
    return tuple(model.id for model in models if model.pipeline_tag in TASKS)[:FOUND]
