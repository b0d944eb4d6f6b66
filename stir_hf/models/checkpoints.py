"""A checkpoint of `transformers`, from the Hub or a folder, loaded with nothing made up:
safetensors only, and no code of its own unless that is allowed.
"""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from stir_hf import hub
from stir_hf.errors import RequestError, one_line
from stir_hf.hub import is_local, is_there, split_revision
from stir_hf.models.adapters import Adapter, in_one_of, read_adapter
from stir_hf.models.families import ORDINARY, Family, family_named, family_of
from stir_hf.models.files import CONFIG, Place, located, needs_timm, read_json
from stir_hf.models.processors import Pixels, understand
from stir_hf.models.spec import ModelSpec
from stir_hf.models.towers import image_tower, tower_note


@dataclass(frozen=True)
class Checkpoint:
    """A network as it was stored, and what its images must be."""

    module: nn.Module
    pixels: Pixels
    commit: str | None
    """The commit it came from; None for a folder."""
    missing: frozenset[str]
    """Weights that the class has and the checkpoint lacks: they are random and must not be used."""
    family: Family = ORDINARY
    notes: tuple[str, ...] = ()
    """What a result says of how it was read."""


def load_checkpoint(
    spec: ModelSpec, dtype: torch.dtype, processor: Any = None, *, trust_remote_code: bool = False
) -> Checkpoint:
    """Load the network that a checkpoint holds, with its classifier where it has one; of several
    towers, the one that takes images; an adapter merged into its base.

    Args:
        spec: which.
        dtype: of its weights.
        processor: its image processor, or the Hub id or folder of one; None: the checkpoint's own.
        trust_remote_code: whether Python code that the checkpoint brings may be run.

    Raises:
        RequestError: no such checkpoint, no or broken or only pickled weights, not a network of
            images, code of its own that is not allowed.
    """
    with located(spec) as place:
        if not place.adapter:
            model_type = read_json(place.folder / CONFIG).get("model_type")
            family_named(model_type).check_taken(spec.model)
        if processor is None and not place.adapter:
            processor = load_processor(place, spec.model, trust_remote_code=trust_remote_code)
        elif processor is not None:
            processor = given_processor(processor, trust_remote_code=trust_remote_code)
        if not place.adapter:
            return _loaded(place, spec.model, dtype, processor, trust_remote_code)
        adapter = read_adapter(place.folder, spec.model)
        its_own = ("preprocessor_config.json", "processor_config.json")
        if processor is None and any((place.folder / name).is_file() for name in its_own):
            processor = load_processor(place, spec.model, trust_remote_code=trust_remote_code)
        return _merged(adapter, place.commit, dtype, processor, trust_remote_code)


def _merged(
    adapter: Adapter, commit: str | None, dtype: torch.dtype, processor: Any, trust: bool
) -> Checkpoint:
    """The base with the adapter's weights, the classifier that it brings included."""
    with located(ModelSpec.parse(adapter.base, adapter.revision)) as place:
        if place.adapter:
            raise RequestError(
                f"model {adapter.called} is an adapter of an adapter, {place.folder}"
            )
        own = processor or load_processor(place, adapter.base, trust_remote_code=trust)
        base = _loaded(place, adapter.base, dtype, own, trust, adapter)
    missing = {key for key in base.missing if not in_one_of(key, adapter.heads)}
    note = f"an adapter, merged into its base {adapter.shown_base}"
    return replace(
        base,
        module=adapter.merged(base.module),
        commit=commit,
        missing=frozenset(missing),
        notes=(note, *base.notes),
    )


def _loaded(
    place: Place,
    model: str,
    dtype: torch.dtype,
    processor: Any,
    trust: bool,
    adapter: Adapter | None = None,
) -> Checkpoint:
    import transformers

    source: dict[str, Any] = {
        "pretrained_model_name_or_path": str(place.folder),
        "trust_remote_code": trust,
    }
    with readable(model):
        config = transformers.AutoConfig.from_pretrained(**source)
        if adapter is not None and adapter.num_labels is not None:
            config.num_labels = adapter.num_labels
        auto = _auto_class(config, labelled=adapter is not None and bool(adapter.num_labels))
    family = family_of(config)
    family.set(config)
    with readable(model), quiet():
        whole, info = auto.from_pretrained(
            **source,
            config=config,
            dtype=dtype,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # to be told of them: they are refused below
        )
    replaced = () if adapter is None else adapter.heads
    _check_shapes(model, info["mismatched_keys"], replaced)
    _check_layers(model, whole, info["unexpected_keys"])
    tower, module = image_tower(whole, model, family.encoder)
    prefix = f"{tower}." if tower else ""
    missing = {k.removeprefix(prefix) for k in info["missing_keys"] if k.startswith(prefix)}
    notes = (*place.notes, *tower_note(tower, whole), *([family.note] if family.note else []))
    pixels = pixels_of(processor, module, model)
    return Checkpoint(module, pixels, place.commit, frozenset(missing), family, notes)


def pixels_of(processor: Any, module: Any, called: str) -> Pixels:
    """An image processor, understood for a network of `transformers`.

    Raises:
        RequestError: images that are neither grey nor colour, or a processor that is no map of
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
        RequestError: it has none that loads here.
    """
    import transformers

    if needs_timm(place.folder) and importlib.util.find_spec("timm") is None:
        raise RequestError(f"model {model} is one of timm's; install timm to load it")
    what = "has no image processor that loads here, so it takes no images (processor= gives one)"
    with readable(model, what), quiet():
        return transformers.AutoImageProcessor.from_pretrained(
            str(place.folder), trust_remote_code=trust_remote_code
        )


def given_processor(given: Any, *, trust_remote_code: bool) -> Any:
    """An image processor that was handed in: itself, the one of a processor of several kinds of
    input, or that of a Hub id or folder.

    Raises:
        RequestError: there is none under this name, or it cannot be called.
    """
    if isinstance(given, str | Path):
        name, revision = split_revision(str(given))
        local = is_local(name) or isinstance(given, Path)
        if not name or (local and not is_there(name)):
            raise hub.no_such_folder(name, "folder of an image processor")
        place = Place(Path(name).expanduser(), None)
        if not local:
            found = hub.resolve(name, revision, "model")
            small = [f for f in found.files if f.endswith((".json", ".py")) and "/" not in f]
            place = Place(hub.fetch(found, small), found.commit)
        return load_processor(place, name, trust_remote_code=trust_remote_code)
    inner = getattr(given, "image_processor", given)
    if not callable(inner) or isinstance(inner, type):
        raise RequestError(
            "processor must be an image processor, a Hub id or a folder, not"
            f" {type(given).__name__}"
        )
    return inner


def _check_shapes(model: str, mismatched: Any, replaced: tuple[str, ...]) -> None:
    """Raise RequestError where weights have other shapes than the configuration gives them."""
    for key, stored, expected in sorted(mismatched):
        if in_one_of(key, replaced):
            continue
        has, wants = ("x".join(map(str, shape)) for shape in (stored, expected))
        head = " (id2label or num_labels)" if "classifier" in key or "head" in key else ""
        raise RequestError(
            f"model {model}: {key} has shape {has} in the weights and {wants} by config.json; make"
            f" the two agree{head}"
        )


def _check_layers(model: str, module: nn.Module, unexpected: Any) -> None:
    """Raise RequestError where the weights hold more layers of a list than the configuration.

    A head that the class has no place for is no such layer.
    """
    lists = {name: len(m) for name, m in module.named_modules() if isinstance(m, nn.ModuleList)}
    for key in sorted(unexpected):
        parts = key.split(".")
        for i in (i for i, part in enumerate(parts) if part.isdecimal() and i):
            names = (".".join(parts[j:i]) for j in range(min(i, 2)))  # with a prefix, or without
            if any(int(parts[i]) >= lists.get(name, 1 << 30) for name in names):
                raise RequestError(
                    f"model {model}: the weights hold {key}, which config.json leaves out; make its"
                    " number of layers agree with them"
                )


def _auto_class(config: Any, *, labelled: bool) -> Any:
    import transformers
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING as CLASSIFIERS,
    )
    from transformers.models.auto.modeling_auto import MODEL_MAPPING as MODELS

    classifier, architectures = transformers.AutoModelForImageClassification, config.architectures
    named = [name for name in architectures or [] if "ForImageClassification" in name]
    of_timm = config.model_type == "timm_wrapper" and config.num_labels > 0
    known = type(config) in CLASSIFIERS or classifier.__name__ in getattr(config, "auto_map", {})
    if known and (named or labelled or of_timm):
        return classifier
    if type(config) in MODELS or not architectures or getattr(config, "auto_map", None):
        return transformers.AutoModel
    own = getattr(transformers, str(architectures[0]), None)
    known = isinstance(own, type) and issubclass(own, transformers.PreTrainedModel)
    return own if known else transformers.AutoModel


def _size(size: Any) -> tuple[int, int] | None:
    if isinstance(size, int):
        return size, size
    if isinstance(size, list | tuple) and len(size) == 2:
        return int(size[0]), int(size[1])
    return None


@contextmanager
def readable(model: str, what: str = "cannot be loaded") -> Iterator[None]:
    """Turn what `from_pretrained` raises into one line.

    Raises:
        RequestError: in place of it.
    """
    from safetensors import SafetensorError

    try:
        yield
    except RequestError:
        raise
    except SafetensorError as error:
        raise RequestError(
            f"weights of model {model} are broken or truncated: {one_line(error)}"
        ) from error
    except Exception as error:  # configurations fail in many ways
        if "trust_remote_code" in str(error):
            raise RequestError(
                f"model {model} brings Python code of its own, which is not run; read it, then"
                " allow it with --trust-remote-code"
            ) from error
        raise RequestError(f"model {model} {what}: {one_line(error)}") from error


@contextmanager
def quiet() -> Iterator[None]:
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
