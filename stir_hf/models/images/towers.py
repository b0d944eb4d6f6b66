"""The part that takes images, in a network of several towers (CLIP, LLaVA, …) or a detector."""

from collections.abc import Callable, Iterable
from typing import Any

from torch import nn

from stir_hf.errors import RequestError
from stir_hf.models.images.families import WRAP_IT, detects
from stir_hf.models.run.calling import PIXELS, Arguments, runs_own_code

_NO_IMAGES = {"input_ids", "input_values", "input_features", "inputs_embeds"}
"""Names of arguments for texts or sounds."""
_PATCHES = {"flattened_patches", "grid_thw", "image_grid_thw", "target_sizes"}
"""Names of arguments for images as sequences of patches."""


def image_tower(module: nn.Module, called: str, encoder: str = "") -> tuple[str, Any]:
    """The name of the outermost submodule that takes only `pixel_values`, and that submodule;
    `""` and the module itself if that is the one. For a detector, its backbone. `encoder` is its
    name, if the family gives it.

    Raises:
        RequestError: no such submodule, or several.
    """
    if encoder:
        return _named(module, called, encoder)
    if detects(getattr(getattr(module, "config", None), "model_type", None)):
        found = _outermost(module, _is_backbone)
        if backbone := _only(found):
            return backbone
        has = f"several ({', '.join(found)})" if found else "none that can be identified"
        raise RequestError(
            f"model {called} is a detector without a single vision backbone: it has {has};"
            " load the backbone yourself, and pass it as an object"
        )
    if _runs_on_images(module):
        return "", module
    return _tower_in(module, called)


def _tower_in(module: nn.Module, called: str) -> tuple[str, Any]:
    """Return the only part that takes plain images, or raise RequestError."""
    patched = _whole_or_outermost(module, _takes_patches)
    found = _outermost(module, _takes_images, patched)
    if not found and _sees(module):
        return "", module
    found = found or _outermost(module, _sees, patched)
    if only := _only(found):
        return only
    takes = getattr(module, "main_input_name", "something else")
    takes = takes if isinstance(takes, str) else " and ".join(takes)
    if found:
        raise RequestError(
            f"model {called} takes {takes} and has several vision towers ({', '.join(found)}); load"
            " one yourself, and pass it as an object"
        )
    if partly := patched or _whole_or_outermost(module, _sees_with_more):
        name, tower = next(iter(partly.items()))
        arguments = Arguments.of(tower)
        patches = [one for one in arguments.names if one in _PATCHES]
        wants = " and ".join(dict.fromkeys((*arguments.needed, *patches)))
        who = f"its vision tower ({name})" if name else "it"
        raise RequestError(
            f"model {called} takes {takes}, and {who} does not run on images alone:"
            f" {type(tower).__name__} takes {wants}; {WRAP_IT}"
        )
    raise RequestError(
        f"model {called} takes {takes}, not images, and has no vision tower; {WRAP_IT}"
    )


def body_of(given: Any) -> tuple[str, Any]:
    """The part of a model in memory that `AutoModel` would load from its checkpoint: its name in
    the model, and the part. The result is `""` and the model itself for a classifier, for a class
    that `AutoModel` does not know, and for a separate backbone.
    """
    from transformers.models.auto.modeling_auto import MODEL_MAPPING as MODELS

    own = type(given)
    known = own.__module__.startswith("transformers.models.") and type(given.config) in MODELS
    if not known or "ForImageClassification" in own.__name__:
        return "", given
    auto: Any = MODELS[type(given.config)]
    if isinstance(given, auto) or _is_backbone(given):
        return "", given
    inner = getattr(given, given.base_model_prefix, None)
    if isinstance(inner, auto):
        return given.base_model_prefix, inner
    return _only(_outermost(given, _takes_images)) or ("", given)


def _named(module: nn.Module, called: str, encoder: str) -> tuple[str, Any]:
    """The part with the name from the family, under any prefix that the class adds."""
    ends = f".{encoder}"
    found = [
        name
        for name, inner in module.named_modules()
        if f".{name}".endswith(ends) and hasattr(inner, "config")
    ]
    if found:
        name = min(found, key=lambda name: name.count("."))
        return name, module.get_submodule(name)
    if not _has_timm(module, encoder):
        named = getattr(getattr(module, "config", None), "architectures", None)
        raise RequestError(
            f"model {called} has no part {encoder!r}, which would see the image, in"
            f" {type(module).__name__}; its configuration names architectures={named}: name the"
            " class that has the part, or pass it as an object"
        )
    raise RequestError(
        f"model {called} has no part {encoder!r} of transformers, which would see the image: its"
        " backbone is timm's; take a revision whose backbone is not (facebook/detr-resnet-50 has"
        " no_timm: MODEL@no_timm), or load the backbone by itself"
    )


def _has_timm(module: nn.Module, encoder: str) -> bool:
    """Return whether a backbone is from timm: by its configuration, or since it has none."""
    configs = [getattr(m, "config", None) for m in module.modules()]
    return any(
        getattr(config, "use_timm_backbone", False)
        or str(getattr(config, "model_type", "")).startswith("timm")
        for config in configs
    ) or any(f".{name}".endswith(f".{encoder}") for name, _ in module.named_modules())


def _outermost(
    module: nn.Module, wanted: Callable[[nn.Module], bool], outside: Iterable[str] = ()
) -> dict[str, nn.Module]:
    """The wanted submodules inside neither another wanted one nor those that are left out."""
    found: dict[str, nn.Module] = {}
    for name, inner in module.named_modules():
        if name and not _is_in(name, found) and wanted(inner):
            found[name] = inner
    return {name: inner for name, inner in found.items() if not _is_in(name, outside)}


def _only(found: dict[str, nn.Module]) -> tuple[str, Any] | None:
    return next(iter(found.items())) if len(found) == 1 else None


def _whole_or_outermost(
    module: nn.Module, wanted: Callable[[nn.Module], bool]
) -> dict[str, nn.Module]:
    return {"": module} if wanted(module) else _outermost(module, wanted)


def _is_in(name: str, outer: Iterable[str]) -> bool:
    return any(not one or name.startswith(f"{one}.") for one in outer)


def _is_backbone(module: nn.Module) -> bool:
    """Return whether a module gives feature maps of an image, like the backbone of a detector."""
    return hasattr(module, "config") and hasattr(module, "out_features") and _takes_images(module)


def _runs_on_images(module: nn.Module) -> bool:
    """Return whether the network takes only images, in its own class under any name."""
    arguments = Arguments.of(module)
    if arguments.needs_more:
        return False
    names = arguments.names
    own = runs_own_code(module) and bool(names) and not _NO_IMAGES & {*names}
    return own or getattr(module, "main_input_name", PIXELS) == PIXELS


def _takes_images(module: nn.Module) -> bool:
    """Return whether pixel values are the first and only required argument of a module."""
    if getattr(module, "main_input_name", PIXELS) != PIXELS or not hasattr(module, "config"):
        return False
    arguments = Arguments.of(module)
    own = _is_network(module) and runs_own_code(module)
    whole = arguments.takes("output_hidden_states") or own
    first = arguments.names[:1] == (PIXELS,)
    return first and whole and not arguments.needs_more and not _PATCHES & {*arguments.names}


def _sees(module: nn.Module) -> bool:
    """Return whether a module is a network that requires only pixel values, its first argument."""
    arguments = Arguments.of(module)
    first = arguments.names[:1] == (PIXELS,) or getattr(module, "main_input_name", "") == PIXELS
    others = arguments.needs_more or (_NO_IMAGES | _PATCHES) & {*arguments.names}
    return _is_network(module) and bool(arguments.names) and first and not others


def _takes_patches(module: nn.Module) -> bool:
    """Return whether a module is a network that takes images as sequences of patches."""
    names = {*Arguments.of(module).names}
    return bool(_PATCHES & names) and _is_network(module) and not _NO_IMAGES & names


def _sees_with_more(module: nn.Module) -> bool:
    """Return whether a module is a network that takes pixel values and requires other arguments."""
    arguments = Arguments.of(module)
    first = arguments.names[:1] == (PIXELS,) and not _NO_IMAGES & {*arguments.names}
    return first and arguments.needs_more and _is_network(module)


def _is_network(module: nn.Module) -> bool:
    from transformers import PreTrainedModel

    return isinstance(module, PreTrainedModel)


def inner_tower(module: nn.Module) -> tuple[str, Any] | None:
    """Return the only tower in a network of a user's own class that runs on images without
    declaring it; None if there is no tower, or several.
    """
    if getattr(module, "main_input_name", PIXELS) == PIXELS:
        return None
    return _only(_outermost(module, _takes_images))


def tower_note(name: str, module: nn.Module) -> tuple[str, ...]:
    """The note of a result that a tower is read."""
    return (f"the vision tower ({name}) of {type(module).__name__} is read",) if name else ()


def part_note(name: str, given: Any) -> tuple[str, ...]:
    """The note of a result that only a part of a model in memory is read."""
    if name and name == given.base_model_prefix:
        head = type(given).__name__
        return (f"the network before the head ({name}) of {head} is read, as of its checkpoint",)
    return tower_note(name, given)
