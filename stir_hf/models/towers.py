"""The part of a network of several towers (CLIP, SigLIP, BLIP, LLaVA, …) that takes images."""

import inspect
from typing import Any

from torch import nn

from stir_hf.errors import RequestError

PIXELS = "pixel_values"


def image_tower(module: nn.Module, called: str, encoder: str = "") -> tuple[str, Any]:
    """The name of the outermost submodule that takes `pixel_values` alone, and itself; `""` and
    the module where that is the module.

    Args:
        module: the whole network.
        called: what it is called in messages.
        encoder: the name, where the family says it.

    Raises:
        RequestError: there is none, or several.
    """
    if encoder:
        names = dict(module.named_modules())
        prefix = getattr(module, "base_model_prefix", "")
        for name in (encoder, f"{prefix}.{encoder}"):
            if hasattr(names.get(name), "config"):
                return name, names[name]
        raise RequestError(
            f"model {called} has no part {encoder!r}, which would see the image: a backbone of"
            " timm's is built otherwise; load that one by itself"
        )
    if getattr(module, "main_input_name", PIXELS) == PIXELS:
        return "", module
    found: dict[str, nn.Module] = {}
    for name, inner in module.named_modules():
        inside = any(name.startswith(f"{outer}.") for outer in found)
        if name and not inside and _takes_images(inner):
            found[name] = inner
    if len(found) == 1:
        return next(iter(found.items()))
    takes = getattr(module, "main_input_name", "something else")
    if not found:
        raise RequestError(f"model {called} takes {takes}, not images, and has no vision tower")
    raise RequestError(
        f"model {called} takes {takes} and has several vision towers ({', '.join(found)}); load"
        " one of them and give it as an object"
    )


def _takes_images(module: nn.Module) -> bool:
    """Whether a module's first argument are pixel values and it needs no others."""
    if getattr(module, "main_input_name", PIXELS) != PIXELS:
        return False
    parameters = list(inspect.signature(module.forward).parameters.values())
    needed = [p for p in parameters[1:] if p.default is p.empty and p.kind < p.VAR_POSITIONAL]
    keywords = {p.name for p in parameters if p.kind != p.VAR_POSITIONAL}
    whole = "output_hidden_states" in keywords or any(p.kind == p.VAR_KEYWORD for p in parameters)
    return bool(parameters) and parameters[0].name == PIXELS and not needed and whole


def tower_note(name: str, module: nn.Module) -> tuple[str, ...]:
    """What a result says of it."""
    return (f"the vision tower ({name}) of {type(module).__name__} is read",) if name else ()
