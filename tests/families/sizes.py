"""The axes of a layer that are space, found without following them: those whose length changes with
the images' size, in a second network of the same family that is made for larger ones.
"""

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from stir_hf import Encoder

_SIDES = ("image_size", "pretrain_image_size", "backbone_feature_sizes")


def doubled(config: Any) -> Any:
    """The configuration of the same network for images of twice the side."""
    config = deepcopy(config)
    for name, value in list(vars(config).items()):
        if name in _SIDES and value is not None:
            setattr(config, name, _twice(value))
        elif name.endswith("config") and hasattr(value, "to_dict"):
            setattr(config, name, doubled(value))
    return config


def _twice(value: Any) -> Any:
    return [_twice(item) for item in value] if isinstance(value, list | tuple) else 2 * value


def outputs(encoder: Encoder, module: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """What every layer gives, by its name, as hooks of our own see it."""
    seen: dict[str, list[Tensor]] = {}

    def note(name: str, output: Any) -> None:
        while isinstance(output, dict | tuple | list):
            items = output.values() if isinstance(output, dict) else output
            output = next((item for item in items if item is not None), None)
        if isinstance(output, Tensor):
            seen.setdefault(name, []).append(output.clone())  # some are written to later

    hooks = [
        part.register_forward_hook(lambda _, __, output, name=name: note(name, output))
        for name, part in module.named_modules()
    ]
    arithmetic = encoder.network.arithmetic()
    inputs = images if arithmetic is None else arithmetic(images)
    more = encoder.network.family.inputs(module, inputs)
    with torch.no_grad():
        result = module(pixel_values=inputs, output_hidden_states=True, return_dict=True, **more)
    for hook in hooks:
        hook.remove()
    found: dict[str, Any] = {}
    for name, tensors in seen.items():
        found |= {f"{name}#{i + 1}": x for i, x in enumerate(tensors)}
        of_images = [x for x in tensors if len(x) == len(images)]  # and not of windows
        if of_images:
            found[name] = of_images[-1]
    states = getattr(result, "hidden_states", None) or ()
    found |= {f"hidden_states[{i}]": state for i, state in enumerate(states)}
    found["logits"] = getattr(result, encoder.network.family.logits, None)
    return {name: x for name, x in found.items() if isinstance(x, Tensor)}
