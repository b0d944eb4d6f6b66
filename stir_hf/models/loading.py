"""A checkpoint, a module or an encoder as an encoder."""

from pathlib import Path
from typing import Any, get_args

import torch
from torch import nn

from stir_hf.errors import RequestError, check_choice, closest
from stir_hf.hub import is_local
from stir_hf.models.checkpoints import load_checkpoint
from stir_hf.models.encoder import Encoder
from stir_hf.models.network import Network
from stir_hf.models.processors import own_size
from stir_hf.models.spec import ModelSpec
from stir_hf.models.taps import split_call, split_selector
from stir_hf.runtime import DType, pick_device


def load_encoder(
    model: str | nn.Module | Encoder,
    layer: str | None = None,
    *,
    revision: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    channels: int | None = None,
    name: str | None = None,
) -> Encoder:
    """The encoder of a checkpoint or a network.

    Args:
        model: Hub id, `id@revision`, local folder, an `nn.Module` that takes images in [0, 1] at
            their own size, (b, c, h, w), and brings its own normalisation, or an `Encoder`. A
            module stays on its device and in its precision; so does an encoder, of which only the
            layer can be chosen.
        layer: `penultimate` (the default of a checkpoint: the input of its final classifier; of a
            backbone its pooler if the checkpoint has its weights, else CLS, else the mean over
            tokens or space), `output` (the default of a module), `logits`, `hidden_states[i]`, or
            a module's name, with `#2` for its second call where it has several; each with `:mean`,
            `:max`, `:cls` or `:flatten`.
        revision: branch, tag or commit.
        device: of a checkpoint; None takes the best there is.
        dtype: of a checkpoint: `float32` (the default), `float64`, `bfloat16` or `float16`.
        channels: of the images, 1 or 3; None is what a checkpoint takes, and 3 for a module.
        name: what results call it; None is the checkpoint's name or the module's class.

    Raises:
        RequestError: no such model, revision or layer; broken, missing or pickled weights; a
            device that is not there; a device, precision, revision or mode other than those of a
            network that is given as it is.
    """
    if dtype is not None:
        check_choice("dtype", dtype, get_args(DType))
    if isinstance(model, str):
        spec = ModelSpec.parse(model, revision, layer)
        return _from_checkpoint(spec, device, dtype or "float32", channels, name)
    encoder = model if isinstance(model, Encoder) else _from_module(model, layer, channels, name)
    if revision is not None and revision not in (encoder.commit, encoder.name.partition("@")[2]):
        raise RequestError(
            f"{encoder.name} is in memory, of revision {encoder.commit}, not {revision!r}"
        )
    encoder.network.check_as_it_is(device, dtype, channels)
    if isinstance(model, Encoder) and name is not None:
        encoder = encoder.named(name)
    return encoder if layer is None or layer == encoder.layer else encoder.at(layer)


def _from_checkpoint(
    spec: ModelSpec, device: str | None, dtype: str, channels: int | None, name: str | None
) -> Encoder:
    place = pick_device(device)
    with torch.inference_mode(False):  # the weights must let a gradient pass
        loaded = load_checkpoint(spec, getattr(torch, dtype))
        module: Any = loaded.module.to(place)
        module.to(memory_format=torch.channels_last)  # faster convolutions
    network = Network(module, loaded.pixels, name or spec.name, missing=loaded.missing)
    network.check_mode(channels)
    local = name is None and is_local(spec.model)
    label = Path(spec.model).expanduser().resolve().name if local else None
    return Encoder(network, spec.layer or "penultimate", commit=loaded.commit, label=label)


def _from_module(
    module: nn.Module, layer: str | None, channels: int | None, called: str | None
) -> Encoder:
    layer = layer or "output"
    name, known = split_selector(layer)[0], [name for name, _ in module.named_modules() if name]
    if name != "output" and split_call(name)[0] not in known:
        raise RequestError(
            f"no layer {name!r} in {type(module).__name__}; {closest(name, ['output', *known])}"
        )
    network = Network(
        module, own_size(channels or 3), called or type(module).__name__, checkpoint=False
    )
    return Encoder(network, layer)
