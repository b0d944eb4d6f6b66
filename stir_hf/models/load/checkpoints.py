"""Strict loading of a checkpoint of `transformers` from the Hub or a folder: safetensors only, no
randomly initialised weights in use, and no code from the checkpoint unless that is allowed.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from stir_hf.errors import RequestError
from stir_hf.models.images.families import family_named, family_of
from stir_hf.models.images.image_processors import (
    given_processor,
    has_processor,
    load_processor,
    pixels_of,
)
from stir_hf.models.images.towers import image_tower, tower_note
from stir_hf.models.load.adapters import Adapter, in_one_of, read_adapter
from stir_hf.models.load.files import CONFIG, NAMED, Place, check_named, located, read_json
from stir_hf.models.load.messages import quiet, readable
from stir_hf.models.load.spec import ModelSpec
from stir_hf.models.network import Network
from stir_hf.models.vectors.plain import PlainVectors
from stir_hf.runtime import SPREAD, pick_device


@dataclass(frozen=True)
class Loading:
    """Options of loading a checkpoint."""

    dtype: torch.dtype
    """The dtype of the weights."""
    device: str | None
    """The device; None for the best one, `auto` to spread over all devices, memory and disk."""
    trust_remote_code: bool
    """True to allow Python code from the checkpoint."""

    def device_map(self, quantised: str | None) -> dict[str, Any]:
        """The device argument of `from_pretrained`; quantised weights cannot be moved later."""
        if self.device == SPREAD:
            return {"device_map": SPREAD}
        return {"device_map": {"": pick_device(self.device)}} if quantised else {}


def load_checkpoint(spec: ModelSpec, how: Loading, processor: Any) -> Network:
    """Load the network of a checkpoint, with its classifier if it has one. Of several towers, the
    one that takes images is used; an adapter is merged into its base. The network is in eval mode,
    on the CPU unless it is quantised or spread over several devices.

    Args:
        spec: the checkpoint.
        how: precision, device, and whether its code may run.
        processor: an image processor, or the Hub id or folder of one; None for the checkpoint's.

    Raises:
        RequestError: no such checkpoint; missing, broken or pickled weights; not a network over
            images; or code from the checkpoint that is not allowed.
    """
    trust = how.trust_remote_code
    with located(spec) as place:
        if processor is not None:
            processor = given_processor(processor, trust_remote_code=trust)
        if place.adapter:
            adapter = read_adapter(place.folder, spec.model)
            if processor is None and has_processor(place):
                processor = load_processor(place, spec.model, trust_remote_code=trust)
            return _merged(adapter, place.commit, how, processor)
        said = read_json(place.folder / CONFIG)
        if "auto_map" in said and said["auto_map"] is None:
            raise RequestError(f"model {spec.model}: auto_map in config.json is null; remove it")
        family_named(said.get("model_type")).check_taken(spec.model)
        if processor is None and not _may_take_vectors(place, said, spec.model, trust):
            processor = load_processor(place, spec.model, trust_remote_code=trust)
        return _loaded(place, spec.model, how, processor)


def _merged(adapter: Adapter, commit: str | None, how: Loading, processor: Any) -> Network:
    """Load the base and merge the adapter's weights, including a classifier."""
    with located(ModelSpec.parse(adapter.base, adapter.revision)) as place:
        if place.adapter:
            raise RequestError(
                f"model {adapter.called} is an adapter of an adapter, {place.folder}"
            )
        trust = how.trust_remote_code
        own = processor or load_processor(place, adapter.base, trust_remote_code=trust)
        base = _loaded(place, adapter.base, how, own, adapter)
    missing = {key for key in base.missing if not in_one_of(key, adapter.heads)}
    note = f"an adapter, merged into its base {adapter.shown(base.commit)}"
    return replace(
        base,
        module=adapter.merged(base.module),
        commit=commit,
        missing=frozenset(missing),
        notes=(note, *base.notes),
    )


def _loaded(
    place: Place, model: str, how: Loading, processor: Any, adapter: Adapter | None = None
) -> Network:
    import transformers

    source: dict[str, Any] = {
        "pretrained_model_name_or_path": str(place.folder),
        "trust_remote_code": how.trust_remote_code,
    }
    with readable(model):
        config = transformers.AutoConfig.from_pretrained(**source)
        check_named(f"model {model}", getattr(config, NAMED, None))
        if adapter is not None and adapter.num_labels is not None:
            config.num_labels = adapter.num_labels
        auto = _auto_class(config, labelled=adapter is not None and bool(adapter.num_labels))
    quantised = quantisation(config)
    with readable(model), quiet():
        whole, info = auto.from_pretrained(
            **source,
            **how.device_map(quantised),
            config=config,
            dtype=how.dtype,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # reported instead of raised: they are refused below
        )
    replaced = () if adapter is None else adapter.heads
    _check_shapes(model, info["mismatched_keys"], replaced)
    _check_layers(model, whole, info["unexpected_keys"])
    missing = frozenset(info["missing_keys"])
    read = Network(whole, PlainVectors(), model, place.commit, missing=missing, notes=place.notes)
    if processor is None:
        _check_takes_vectors(read)
    else:
        read = _over_images(read, processor)
        part: Any = read.module
        if quantised:
            part.config.quantization_config = whole.config.quantization_config
    return replace(read, quantised=quantised)


def _over_images(whole: Network, processor: Any) -> Network:
    """The part of a model of `transformers` that takes images."""
    tower, module = image_tower(whole.module, whole.name, family_of(whole.module.config).encoder)
    family = family_of(module.config)  # for a tower, its own configuration
    family.check_taken(whole.name)
    family.set(module.config)
    prefix = f"{tower}." if tower else ""
    missing = {k.removeprefix(prefix) for k in whole.missing if k.startswith(prefix)}
    return replace(
        whole,
        module=module,
        preprocessing=pixels_of(processor, module, whole.name),
        missing=frozenset(missing),
        family=family,
        notes=(*whole.notes, *tower_note(tower, whole.module), *family.notes),
    )


_OTHER_INPUTS = ("input_ids", "input_values", "input_features", "pixel_values")
"""Names of main inputs for texts, sounds and images."""


def _may_take_vectors(place: Place, config: dict[str, Any], model: str, trust: bool) -> bool:
    """Return True for a checkpoint with its own code, which must be allowed, and no processor."""
    if has_processor(place) or "AutoModel" not in (config.get("auto_map") or {}):
        return False
    if not trust:
        raise RequestError(
            f"model {model} has no image processor, and needs Python code from its repo",
            "; if that is a network over feature vectors, allow it with --trust-remote-code",
        )
    return True


def _check_takes_vectors(network: Network) -> None:
    """Raise RequestError if the main input of a network is of another kind."""
    if (main := network.main_input) in _OTHER_INPUTS:
        raise RequestError(
            f"model {network.name} has no image processor, and its main input is {main}, not"
            " vectors of features (a class over vectors sets main_input_name to another name)"
        )


def quantisation(config: Any) -> str | None:
    """The quantisation method in a configuration; None if the weights are not quantised."""
    found = getattr(config, "quantization_config", None)
    if not found:
        return None
    about = found if isinstance(found, dict) else vars(found)
    method = about.get("quant_method", "an unknown method")
    return str(getattr(method, "value", method))


def _check_shapes(model: str, mismatched: Any, replaced: tuple[str, ...]) -> None:
    """Raise RequestError if weights have other shapes than in the configuration."""
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
    """Raise RequestError for weights of more layers than configured; a head may be unused."""
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
    from transformers.models.auto import modeling_auto

    classifiers = modeling_auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING
    classifier, architectures = transformers.AutoModelForImageClassification, config.architectures
    named = [name for name in architectures or [] if "ForImageClassification" in name]
    of_timm = config.model_type == "timm_wrapper" and config.num_labels > 0
    own_code = getattr(config, "auto_map", None) or {}
    known = type(config) in classifiers or classifier.__name__ in own_code
    if known and (named or labelled or of_timm):
        return classifier
    auto = type(config) in modeling_auto.MODEL_MAPPING and not family_of(config).apart
    if auto or not architectures or own_code:
        return transformers.AutoModel
    own = getattr(transformers, str(architectures[0]), None)
    known = isinstance(own, type) and issubclass(own, transformers.PreTrainedModel)
    return own if known else transformers.AutoModel
