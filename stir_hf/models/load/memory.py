"""Networks in memory: a model of `transformers` with its processor, or any other module."""

from contextlib import suppress
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from stir_hf.errors import RequestError, closest, one_line
from stir_hf.hub import is_local
from stir_hf.models.images.families import family_of
from stir_hf.models.images.image_processors import given_processor, pixels_of
from stir_hf.models.images.pixels import Pixels, own_size
from stir_hf.models.images.processors import understand
from stir_hf.models.images.towers import body_of, image_tower, part_note
from stir_hf.models.load.checkpoints import quantisation
from stir_hf.models.load.identity import quantised_weights
from stir_hf.models.network import Network
from stir_hf.models.read.taps import split_call, split_selector

_WRAPPERS = {
    "torch.nn.parallel.": ".module",
    "torch.distributed.": ".module",
    "torch._dynamo.": "._orig_mod",
    "peft.": ".merge_and_unload()",
}
"""The expression that unwraps a model, by the prefix of the wrapper's module."""

_NORMALISES = (
    "a module around a model of transformers, given images in [0, 1]: it must normalise them"
    " itself, or be given with processor="
)


_DEFAULT_BRANCH = (
    "its image processor is that of {} at its default branch, as a model does not say from which"
    " revision it was loaded; processor= gives another"
)


def network_in_memory(
    given: Any, processor: Any, channels: int | None, name: str | None, *, trust_remote_code: bool
) -> Network:
    """A module as a network; the module is neither moved nor changed.

    Raises:
        RequestError: not a network; or a model of `transformers` without a processor, or inside a
            wrapper.
    """
    import transformers

    if not isinstance(given, nn.Module):
        raise RequestError(
            "a model is a Hub id, a folder, an Encoder, a model of transformers or an nn.Module,"
            f" not {type(given).__name__}"
        )
    called = name or type(given).__name__
    if isinstance(given, transformers.PreTrainedModel):
        return _of_transformers(given, processor, called, trust_remote_code)
    inside = any(isinstance(m, transformers.PreTrainedModel) for m in given.modules())
    for start, inner in _WRAPPERS.items():
        if type(given).__module__.startswith(start) and inside:
            raise RequestError(
                f"{called} wraps a model of transformers; pass the model inside (model{inner})"
            )
    module = Network(given, own_size(channels or 3), called, transformers=False, in_memory=True)
    if processor is not None:
        chosen = given_processor(processor, trust_remote_code=trust_remote_code)
        return replace(module, preprocessing=understand(chosen, channels or 3))
    return replace(module, plain=True, notes=(_NORMALISES,) if inside else ())


def _of_transformers(given: Any, processor: Any, called: str, trust: bool) -> Network:
    part, module = _part(given, called)
    family = family_of(module.config)
    family.check_taken(called)
    family.check(module.config, called, "" if module.config is given.config else part)
    notes = []
    if processor is None:
        processor = _own_processor(given, called, trust)
        if not is_local(given.name_or_path):
            notes.append(_DEFAULT_BRANCH.format(given.name_or_path))
    found = given_processor(processor, trust_remote_code=trust)
    pixels = pixels_of(found, module, called)
    network = _as_network(part, module, given, pixels, called, notes)
    with suppress(RequestError):  # the model does not take images
        before, whole = image_tower(given, called, family_of(given.config).encoder)
        if whole is not module:
            same = whole.config is module.config
            pixels = pixels if same else pixels_of(found, whole, called)
            network.whole = _as_network(before, whole, given, pixels, called, notes)
    return network


def _as_network(
    part: str, module: Any, given: Any, pixels: Pixels, called: str, notes: list[str]
) -> Network:
    """A part of a model of `transformers` as a network."""
    family, quantised = family_of(module.config), quantisation(given.config)
    return Network(
        module,
        pixels,
        called,
        in_memory=True,
        family=family,
        notes=(*part_note(part, given), *family.notes, *notes),
        quantised=quantised,
        weights=quantised and quantised_weights(module, given.config),
    )


def _part(given: Any, called: str) -> tuple[str, Any]:
    """The name of the part that is read, the same as for its checkpoint, and the part itself."""
    whole = family_of(given.config)
    whole.check_taken(called)
    body, module = ("", given) if whole.encoder else body_of(given)
    tower, module = image_tower(module, called, whole.encoder)
    return ".".join(filter(None, (body, tower))), module


def _own_processor(given: Any, called: str, trust: bool) -> Any:
    """The image processor of the Hub id or folder that a model was loaded from."""
    asked = "; give it: load_encoder(model, processor=…)"
    if not (name := given.name_or_path):
        raise RequestError(
            f"{called} is a model of transformers that names no checkpoint, so its image processor"
            " is not known",
            asked,
        )
    try:
        return given_processor(str(name), trust_remote_code=trust)
    except RequestError as error:
        raise RequestError(
            f"the image processor of {called} is not known ({one_line(error)})", asked
        ) from error


def check_module_layer(module: nn.Module, layer: str) -> None:
    """Check that a module has a layer, before the first forward pass.

    Raises:
        RequestError: no layer of this name, or one inside a scripted module, which hides its
            parts.
    """
    name = split_selector(layer)[0]
    if name == "output":
        return
    modules, called = dict(module.named_modules()), split_call(name)[0]
    inside = ("", *(called[:i] for i, letter in enumerate(called) if letter == "."))
    if any(isinstance(modules.get(part), torch.jit.ScriptModule) for part in inside):
        raise RequestError(
            f"layer {name!r} of {type(module).__name__} cannot be read: a scripted module hides"
            " its parts; pass the module from which it was scripted"
        )
    known = [name for name in modules if name]
    if called not in known:
        raise RequestError(
            f"no layer {name!r} in {type(module).__name__}; {closest(name, ['output', *known])}"
        )
