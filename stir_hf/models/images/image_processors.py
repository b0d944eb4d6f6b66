"""The image processor of a checkpoint, or the one that was passed in."""

import importlib.util
from pathlib import Path
from typing import Any

from stir_hf import hub
from stir_hf.errors import RequestError
from stir_hf.hub import is_local, is_there, split_revision
from stir_hf.models.images.pixels import Pixels
from stir_hf.models.images.processors import understand
from stir_hf.models.load.files import Place, code_told, needs_timm
from stir_hf.models.load.messages import quiet, readable
from stir_hf.pointers import check_pointer

PROCESSORS = ("preprocessor_config.json", "processor_config.json")
"""The files that may configure the image processor."""


def has_processor(place: Place) -> bool:
    """Return whether a checkpoint has a file that configures an image processor."""
    return any((place.folder / name).is_file() for name in PROCESSORS)


def pixels_of(processor: Any, module: Any, called: str) -> Pixels:
    """The preprocessing of a network of `transformers`, learnt by probing its image processor.

    Raises:
        RequestError: images that are neither grey nor colour, or a processor that is not a map of
            pixels.
    """
    config = module.config
    channels = int(getattr(config, "num_channels", 3))
    if channels not in (1, 3):
        raise RequestError(
            f"model {called} takes images of {channels} channels; 1 and 3 are supported"
        )
    return understand(processor, channels, _size(getattr(config, "image_size", None)))


def load_processor(place: Place, model: str, *, trust_remote_code: bool) -> Any:
    """The image processor of a checkpoint.

    Raises:
        RequestError: the checkpoint has none, or it does not load in this environment.
    """
    import transformers

    if needs_timm(place.folder) and importlib.util.find_spec("timm") is None:
        raise RequestError(f"model {model} is one of timm's; install timm to load it")
    for name in PROCESSORS:
        check_pointer(place.folder / name)
    what = "has no image processor that loads here, so it takes no images (processor= gives one)"
    try:
        with readable(model, what), quiet():
            return transformers.AutoImageProcessor.from_pretrained(
                str(place.folder), trust_remote_code=trust_remote_code
            )
    except RequestError as error:
        if place.repo and not has_processor(place):
            raise hub.not_cached(place.repo, PROCESSORS[:1]) from error
        raise


def given_processor(given: Any, *, trust_remote_code: bool) -> Any:
    """The image processor from an argument: the object itself, the image part of a processor for
    several kinds of input, or the one loaded from a Hub id or folder.

    Raises:
        RequestError: no image processor under this name, or an object that cannot be called.
    """
    if isinstance(given, str | Path):
        name, revision = split_revision(str(given), "model")
        local = is_local(name) or isinstance(given, Path)
        if not name or (local and not is_there(name)):
            raise hub.no_such_folder(name, "folder of an image processor")
        place = Place(Path(name).expanduser(), None)
        if not local:
            found = hub.resolve(name, revision, "model")
            small = [f for f in found.files if f.endswith((".json", ".py")) and "/" not in f]
            repo = None if found.listed else found
            place = Place(hub.fetch(found, small), found.commit, repo=repo)
        with code_told(place):
            return load_processor(place, name, trust_remote_code=trust_remote_code)
    inner = getattr(given, "image_processor", given)
    if not callable(inner) or isinstance(inner, type):
        raise RequestError(
            "processor must be an image processor, a Hub id or a folder, not"
            f" {type(given).__name__}"
        )
    return inner


def _size(size: Any) -> tuple[int, int] | None:
    if isinstance(size, int):
        return size, size
    if isinstance(size, list | tuple) and len(size) == 2:
        return int(size[0]), int(size[1])
    return None
