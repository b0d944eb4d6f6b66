"""Encoders from checkpoints, modules and other encoders."""

import threading
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import torch
from torch import nn

from stir_hf.errors import RequestError, as_flag
from stir_hf.hub import is_local, no_such_folder
from stir_hf.models.encoder import Encoder
from stir_hf.models.load.checkpoints import Loading, load_checkpoint
from stir_hf.models.load.memory import check_module_layer, network_in_memory
from stir_hf.models.load.spec import ModelSpec, check_layer
from stir_hf.models.network import Network
from stir_hf.runtime import SPREAD, pick_device, precision

_LOADING = threading.RLock()
"""Lock on loading, since transformers changes the default dtype and other globals meanwhile."""


def load_encoder(
    model: str | Path | nn.Module | Encoder,
    layer: str | None = None,
    *,
    processor: Any = None,
    revision: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    channels: int | None = None,
    name: str | None = None,
    trust_remote_code: bool = False,
) -> Encoder:
    """Load a checkpoint, or wrap a network in memory, as an encoder.

    Args:
        model: Hub id, `id@revision`, local folder, a model of `transformers`, an `nn.Module` that
            takes images in [0, 1] at their own size, (b, c, h, w), and normalises them itself, or
            an `Encoder`. A network in memory stays on its device and in its precision; for an
            encoder only the layer can be chosen. A checkpoint with several towers (CLIP, SigLIP, …)
            is read at the one that takes images; an adapter is merged into its base, which needs
            peft; a masked autoencoder sees all patches.
        layer: `penultimate` (the default for a model of `transformers`: the input of the final
            classifier; for a backbone its pooler if the checkpoint has the weights, else CLS, else
            the mean over tokens or space), `output` (the default for other modules), `logits`,
            `hidden_states[i]`, or the name of a module, with `#2` for its second call if it runs
            several times; each with `:mean`, `:max`, `:cls` or `:flatten`. `:mean` and `:max` keep
            the channel axes, which are found by following them from the image to the layer; if
            they cannot be found, add `:mean:channels-last` or `:mean:channels-first`.
        processor: an image processor, the Hub id or folder of one, or a transform from a PIL image
            to a tensor (c, h, w), as in torchvision and timm; None for the checkpoint's own, which
            a model of `transformers` names by `name_or_path`. With a processor, an `nn.Module`
            gets images with the processor's size and normalisation.
        revision: branch, tag or commit.
        device: for a checkpoint; None for the best available; `auto` spreads a network that is too
            large for one device over all devices, memory and disk (accelerate's
            `device_map="auto"`).
        dtype: for a checkpoint: `float32` (the default), `float64`, `bfloat16` or `float16`.
        channels: number of image channels, 1 or 3; None for those of the checkpoint, or 3 for a
            module.
        name: name in results; None for the checkpoint's name or the module's class.
        trust_remote_code: allow Python code from the checkpoint.

    Raises:
        RequestError: no such model, revision or layer; broken, missing or pickled weights; a model
            of `transformers` with an unknown processor; a device that does not exist; or a device,
            precision, revision or mode that differs from that of a network in memory.
    """
    layer, wanted = check_layer("layer", layer), precision(dtype)
    trust_remote_code = as_flag("trust_remote_code", trust_remote_code)
    if channels not in (None, 1, 3):
        raise RequestError(f"channels must be 1 or 3, not {channels!r}")
    if name is not None and not (isinstance(name, str) and name):
        raise RequestError(f"name must be a text, not {name!r}")
    if isinstance(model, str | Path):
        if isinstance(model, Path) and not model.expanduser().exists():
            raise no_such_folder(str(model), "model folder")
        spec = ModelSpec.parse(str(model), revision)
        how = Loading(getattr(torch, wanted or "float32"), device, trust_remote_code)
        network = _from_checkpoint(spec, how, processor)
        network.name = name or spec.name
        network.check_channels(channels)
        local = name is None and is_local(spec.model)
        label = Path(spec.model).expanduser().resolve().name if local else None
        return Encoder(network, layer or "penultimate", label=label)
    if isinstance(model, Encoder):
        encoder = model
        if processor is not None:
            raise RequestError(f"{encoder.name} is an Encoder and has its processor already")
    else:
        network = network_in_memory(
            model, processor, channels, name, trust_remote_code=trust_remote_code
        )
        chosen = layer or ("penultimate" if network.transformers else "output")
        if not network.transformers:
            check_module_layer(network.module, chosen)
        encoder = Encoder(network, chosen)
    if revision is not None and revision not in (encoder.commit, encoder.name.partition("@")[2]):
        raise RequestError(
            f"{encoder.name} is in memory, of revision {encoder.commit}, not {revision!r}"
        )
    encoder.network.check_as_it_is(device, wanted, channels)
    if isinstance(model, Encoder) and name is not None:
        encoder = encoder.named(name)
    return encoder if layer is None or layer == encoder.layer else encoder.at(layer)


def _from_checkpoint(spec: ModelSpec, how: Loading, processor: Any) -> Network:
    """The network of a checkpoint on its device."""
    place = pick_device(how.device)
    elsewhere = torch.get_default_device().type != "cpu"  # transformers would load it there
    usual = torch.device("cpu") if elsewhere else nullcontext()
    with _LOADING, usual, torch.inference_mode(False):  # gradients must pass through the weights
        network = load_checkpoint(spec, how, processor)
        if how.device != SPREAD and network.quantised is None:
            module: Any = network.module.to(place)
            with suppress(RuntimeError):  # five axes: a network over videos
                module.to(memory_format=torch.channels_last)  # faster convolutions
    return network
