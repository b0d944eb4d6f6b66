"""The identity of a network by its content: weights and preprocessing, never its name."""

import hashlib
import json
from typing import Any

import torch
from torch import Tensor, nn

from stir_hf.runtime import brought


def hash_of_weights(module: nn.Module, missing: frozenset[str] = frozenset()) -> str:
    """SHA-256 over the entries of the `state_dict` by name: dtypes, shapes and bytes, on any
    device. Entries missing from the checkpoint, on which no readable layer depends, count only if
    they are the same in every load.
    """
    digest = hashlib.sha256()
    trained = {name for name, _ in module.named_parameters()}
    for name, value in sorted(module.state_dict().items()):
        away = isinstance(value, Tensor) and value.is_meta
        here = brought(module, name) if away else value
        drawn = name in missing and name in trained  # at random, unless all values are equal
        if not (drawn and bool((here != here.flatten()[:1]).any())):
            _add(digest, name, here)
    return digest.hexdigest()


def _add(digest: Any, name: str, value: Any) -> None:
    """Add one value to a digest; a tensor that consists of others is added by its parts."""
    if hasattr(value, "__tensor_flatten__"):
        parts, about = value.__tensor_flatten__()
        digest.update(f"{name} {type(value).__name__} {about!r}\n".encode())
        for part in parts:
            _add(digest, f"{name}.{part}", getattr(value, part))
        return
    if not isinstance(value, Tensor):
        digest.update(f"{name} {value!r}\n".encode())
        return
    tensor = value.detach().cpu().contiguous()
    digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
    digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes())


def quantised_weights(module: Any, config: Any) -> str:
    """SHA-256 over the weights of a quantised network and the quantisation in `config`, that of the
    whole network for a tower. It must be taken before the first pass, in which libraries pack the
    weights.
    """
    found = getattr(config, "quantization_config", None) or {}
    about = found if isinstance(found, dict) else found.to_dict()
    spelt = json.dumps(about, sort_keys=True, default=str)
    return hashlib.sha256(f"{hash_of_weights(module)} {spelt}".encode()).hexdigest()


def short_hash(identity: dict[str, Any]) -> str:
    """8 hexadecimal digits of an identity."""
    text = json.dumps(identity, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]
