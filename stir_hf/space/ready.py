"""Import all that a comparison imports, so that the process of a request has it from its start.

Importing this module does it. Nothing here starts a thread, as processes are forked from
the one that imports it: no network runs, and no weights are loaded.
"""

import pkgutil
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module

import stir_hf

LATE = ("matplotlib.figure", "matplotlib.backends.backend_agg", "scipy.io")
"""Modules that draw the figures of a run, and what `datasets` looks for when it opens files."""


def own() -> None:
    """Import what is behind the public names of this package, and the formats of images."""
    from PIL import Image

    for name in dir(stir_hf):
        getattr(stir_hf, name)
    Image.init()


def late() -> None:
    """Import what libraries import in a run."""
    for name in LATE:
        with suppress(ImportError):
            import_module(name)


def loaders() -> None:
    """Import what loads a checkpoint, which `transformers` leaves until then."""
    from transformers.models import auto

    for module in pkgutil.iter_modules(auto.__path__, f"{auto.__name__}."):
        import_module(module.name)


def families() -> None:
    """Import the networks and image processors of the families that classify or embed images."""
    from transformers.models.auto import image_processing_auto, modeling_auto

    from stir_hf.models.load.messages import quiet

    networks = (
        modeling_auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING,
        modeling_auto.MODEL_FOR_IMAGE_MAPPING,
    )
    with quiet():
        for mapping in networks:
            for config in mapping:
                for found in (mapping, image_processing_auto.IMAGE_PROCESSOR_MAPPING):
                    with suppress(Exception):  # it needs a library that is not installed
                        found[config]


def prepare() -> None:
    """Import all of it; what fails to is left to the requests that need it."""
    steps: tuple[Callable[[], None], ...] = (own, late, loaders, families)
    for step in steps:
        with suppress(Exception):
            step()


prepare()
