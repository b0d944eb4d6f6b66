"""A checkpoint of `transformers`, from the Hub or a folder, loaded with nothing made up:
safetensors only.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from stir_hf import hub
from stir_hf.errors import RequestError, one_line
from stir_hf.hub import is_local
from stir_hf.models.processors import Pixels, understand
from stir_hf.models.spec import ModelSpec

PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".h5", ".msgpack")


@dataclass(frozen=True)
class Checkpoint:
    """A network as it was stored, and what its images must be."""

    module: nn.Module
    pixels: Pixels
    commit: str | None
    """The commit it came from; None for a folder."""
    missing: frozenset[str]
    """Weights that the class has and the checkpoint lacks: they are random and must not be used."""


def load_checkpoint(spec: ModelSpec, dtype: torch.dtype) -> Checkpoint:
    """Load the network that a checkpoint holds, with its classifier where it has one.

    Raises:
        RequestError: no such checkpoint, no or broken or only pickled weights, not a network of
            images, remote code.
    """
    import transformers

    source, commit = _locate(spec)
    with _readable(spec.model):
        config = transformers.AutoConfig.from_pretrained(source, revision=commit)
        auto = _auto_class(config)
    with (
        _readable(spec.model, what="has no image processor that loads here, so it takes no images"),
        _quiet(),
    ):
        processor = transformers.AutoImageProcessor.from_pretrained(source, revision=commit)
    with _readable(spec.model), _quiet():
        module, info = auto.from_pretrained(
            source, revision=commit, dtype=dtype, use_safetensors=True, output_loading_info=True
        )
    if module.main_input_name != "pixel_values":
        raise RequestError(f"model {spec.model} takes {module.main_input_name}, not images")
    channels, size = (
        int(getattr(config, "num_channels", 3)),
        _size(getattr(config, "image_size", None)),
    )
    if channels not in (1, 3):
        raise RequestError(
            f"model {spec.model} takes images of {channels} channels; 1 and 3 are supported"
        )
    return Checkpoint(
        module, understand(processor, channels, size), commit, frozenset(info["missing_keys"])
    )


def _locate(spec: ModelSpec) -> tuple[str, str | None]:
    """Where to load from, and the commit; checks the files before anything large is read."""
    if is_local(spec.model):
        if spec.revision:
            raise RequestError(
                f"model {spec.model} is a folder and has no revision {spec.revision!r}"
            )
        return str(_check_folder(Path(spec.model).expanduser())), None
    found = hub.resolve(spec.model, spec.revision, "model")
    _check_weights(spec.model, list(found.files))
    return str(hub.fetch(found, _needed(found.files))), found.commit


def _needed(files: tuple[str, ...]) -> list[str]:
    """What `from_pretrained` reads of a repo: its small files and the weights under their usual
    name, else all weights.
    """
    top = [name for name in files if "/" not in name]
    small = [name for name in top if name.endswith((".json", ".py", ".txt"))]
    if "model.safetensors" in top:
        return [*small, "model.safetensors"]
    return [*small, *(name for name in top if name.endswith(".safetensors"))]


def _check_folder(folder: Path) -> Path:
    from safetensors import SafetensorError, safe_open

    if not folder.is_dir():
        raise hub.no_such_folder(str(folder), "model folder")
    names = [path.name for path in folder.iterdir()]
    if "config.json" not in names:
        raise RequestError(
            f"model folder {folder} has no config.json; expected what `save_pretrained` writes"
        )
    _check_weights(str(folder), names)
    for path in folder.glob("*.safetensors"):
        try:
            with safe_open(path, "pt"):
                pass
        except (SafetensorError, OSError) as error:
            raise RequestError(
                f"weights {path} are broken or truncated: {one_line(error)}"
            ) from error
    return folder


def _check_weights(model: str, names: list[str]) -> None:
    if any(name.endswith(".safetensors") for name in names):
        return
    if pickled := [name for name in names if name.endswith(PICKLED)]:
        raise RequestError(
            f"model {model} has pickled weights only ({pickled[0]}), which can run code; save it"
            " with safetensors"
        )
    raise RequestError(f"model {model} has no weights; expected model.safetensors")


def _auto_class(config: Any) -> Any:
    import transformers
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING as CLASSIFIERS,
    )

    named = [name for name in config.architectures or [] if "ForImageClassification" in name]
    classifies = named and type(config) in CLASSIFIERS
    return transformers.AutoModelForImageClassification if classifies else transformers.AutoModel


def _size(size: Any) -> tuple[int, int] | None:
    if isinstance(size, int):
        return size, size
    if isinstance(size, list | tuple) and len(size) == 2:
        return int(size[0]), int(size[1])
    return None


@contextmanager
def _readable(model: str, what: str = "cannot be loaded") -> Iterator[None]:
    """Turn what `from_pretrained` raises into one line."""
    from safetensors import SafetensorError

    try:
        yield
    except RequestError:
        raise
    except SafetensorError as error:
        raise RequestError(
            f"weights of model {model} are broken or truncated: {one_line(error)}"
        ) from error
    except (
        OSError,
        ValueError,
        ImportError,
        RuntimeError,
        KeyError,
        TypeError,
        AttributeError,
    ) as error:
        raise RequestError(f"model {model} {what}: {one_line(error)}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the loader's bars and its advice on missing weights, which are checked here."""
    from transformers.utils import logging

    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()
