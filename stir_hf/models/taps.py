"""Where a representation is read: a layer by its name, found in one forward pass that was watched.

A selector is `penultimate`, `logits`, `output` (of an `nn.Module`), `hidden_states[i]` or a
module's name, with `#2` for the second call of a module that runs several times, optionally
followed by `:mean`, `:max`, `:cls` or `:flatten`, the rule that makes one vector of it.
"""

import re
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from torch import Tensor

from stir_hf.errors import RequestError, closest
from stir_hf.models.trace import Call, Seen, Trace, first_tensor

Pooling = Literal["mean", "max", "cls", "flatten"]
POOLINGS: tuple[Pooling, ...] = ("mean", "max", "cls", "flatten")


@dataclass(frozen=True)
class Layer:
    """One layer that can be read: its name, its shape without the batch axis, and how it is pooled
    by default.
    """

    name: str
    shape: tuple[int, ...]
    pooling: Pooling
    lacks: str | None = None
    """The first of the weights that it depends on and the checkpoint lacks."""


@dataclass(frozen=True)
class Tap:
    """The place where a tensor is taken: what goes into a module, what comes out of it, or a part
    of the result.
    """

    module: str | None
    at: Literal["input", "output", "result"]
    part: str | int | None = None
    """Of the result: a field's name, or the number of a hidden state."""
    pooling: Pooling = "flatten"
    call: int = 0
    """Which call of the module, from 0."""

    def spelling(self) -> dict[str, Any]:
        """All of it, as JSON has it."""
        return asdict(self)


def pool(tensor: Tensor, pooling: Pooling) -> Tensor:
    """(b, d), (b, tokens, d) or (b, d, h, w) to (b, d'): over tokens or space, or flattened.

    Args:
        tensor: of a layer, floating-point; the result has its dtype.
        pooling: `mean`, `max`, `cls` (the first token) or `flatten`; (b, d) stays as it is.

    Raises:
        RequestError: `cls` of what has no tokens.
    """
    if tensor.ndim == 2 or pooling == "flatten":
        return tensor.flatten(1)
    over = (1,) if tensor.ndim == 3 else tuple(range(2, tensor.ndim))
    if pooling == "cls":
        if tensor.ndim != 3:
            raise RequestError(
                f"pooling 'cls' needs tokens of shape (b, t, d), not {tuple(tensor.shape)}"
            )
        return tensor[:, 0]
    return tensor.mean(over) if pooling == "mean" else tensor.amax(over)


def default_pooling(shape: tuple[int, ...]) -> Pooling:
    """`mean` over tokens or space; a vector is taken as it is."""
    return "flatten" if len(shape) <= 1 else "mean"


def list_layers(seen: Trace) -> tuple[Layer, ...]:
    """All that can be read, in the order of the forward pass; modules first, then hidden states
    and logits.
    """
    found: dict[str, Tensor] = {}
    for call in seen.calls:
        if call.name and call.gave is not None:
            several = len(seen.of(call.name)) > 1
            found[f"{call.name}#{call.number + 1}" if several else call.name] = call.gave.tensor
    for i, tensor in enumerate(getattr(seen.result, "hidden_states", None) or ()):
        if isinstance(tensor, Tensor) and seen.has_rows(tensor):
            found[f"hidden_states[{i}]"] = tensor
    if seen.logits is not None and seen.has_rows(seen.logits):
        found["logits"] = seen.logits
    shapes = {name: tuple(tensor.shape[1:]) for name, tensor in found.items()}
    return tuple(Layer(name, shape, default_pooling(shape)) for name, shape in shapes.items())


def split_selector(selector: str) -> tuple[str, Pooling | None]:
    """`name:pooling` apart.

    Raises:
        RequestError: an unknown pooling.
    """
    name, colon, pooling = selector.partition(":")
    if not colon:
        return name, None
    for known in POOLINGS:
        if pooling == known:
            return name, known
    raise RequestError(
        f"pooling {pooling!r} of layer {selector!r} is unknown; there are: {', '.join(POOLINGS)}"
    )


def split_call(name: str) -> tuple[str, int | None]:
    """`name#2` apart: the module and the number of the call, from 0; None where none is given."""
    match = re.fullmatch(r"(.*)#([1-9]\d*)", name)
    return (match[1], int(match[2]) - 1) if match else (name, None)


def find(name: str, seen: Trace) -> Tap:
    """The tap of a layer in a traced network, pooled by default; `name` is a selector without its
    pooling.

    Raises:
        RequestError: no such layer, or a module that runs several times; the names to choose from
            are given.
    """
    if name == "logits" and seen.logits is not None:
        return tap_of(seen, seen.logits, "logits")
    if match := re.fullmatch(r"hidden_states\[(-?\d+)\]", name):
        states = getattr(seen.result, "hidden_states", None) or ()
        if -len(states) <= (i := int(match[1])) < len(states) and isinstance(states[i], Tensor):
            return tap_of(seen, states[i], i % len(states))
    module, number = split_call(name)
    calls = seen.of(module) if module else []
    chosen = calls if number is None else [call for call in calls if call.number == number]
    if len(chosen) > 1:
        choices = ", ".join(f"{name}#{call.number + 1}" for call in chosen)
        raise RequestError(f"{name!r} runs {len(chosen)} times in a pass; choose one of {choices}")
    if not chosen:
        given = [c for c in seen.calls if module and (c.name, c.number) == (module, number or 0)]
        if given and given[0].gave is None and given[0].shape is not None:
            raise without_rows(name, given[0].shape, seen.fed)
        known = ["penultimate", *(layer.name for layer in list_layers(seen))]
        raise RequestError(
            f"no layer {name!r}; {closest(name, known)} (`stir-hf layers MODEL` lists them)"
        )
    return output_of(chosen[0])


def without_rows(layer: str, shape: tuple[int, ...], count: int) -> RequestError:
    """Return the refusal of a layer that has no row for each image."""
    return RequestError(
        f"layer {layer!r} gives a tensor of shape {shape} for {count} images, not a row for each:"
        " it packs the images of a batch into one, or leaves the batch out; choose another layer"
        " (`stir-hf layers MODEL` lists them)"
    )


def tap_of(seen: Trace, tensor: Tensor, part: str | int | None) -> Tap:
    """The call that gives this tensor, so that the pass can stop there; else the part of the
    result.
    """
    call = seen.giver(tensor)
    if call is not None:
        return output_of(call)
    return Tap(None, "result", part, default_pooling(tuple(tensor.shape[1:])))


def output_of(call: Call) -> Tap:
    """The tap at what a call gives, pooled by default."""
    assert call.gave is not None
    pooling = default_pooling(tuple(call.gave.tensor.shape[1:]))
    return Tap(call.name, "output", pooling=pooling, call=call.number)


def tensor_at(seen: Trace, tap: Tap) -> Seen | None:
    """What a trace saw at a tap; None where there was no tensor with the batch axis."""
    if tap.module is None:
        tensor = part_of(seen.result, tap.part)
        return Seen(tensor, None) if tensor is not None and seen.has_rows(tensor) else None
    call = next(c for c in seen.calls if (c.name, c.number) == (tap.module, tap.call))
    return call.given if tap.at == "input" else call.gave


def part_of(result: Any, part: str | int | None) -> Tensor | None:
    """The tensor of a network's result at a field's name (of several feature maps the last), at
    the number of a hidden state, or the first one.
    """
    if isinstance(part, int):
        return first_tensor(result.hidden_states[part])
    if part in ("feature_maps", "fpn_hidden_states"):
        return first_tensor(getattr(result, part)[-1])
    return first_tensor(result if part is None else getattr(result, part))


def earliest(seen: Trace, tap: Tap) -> Tap:
    """The one spelling of all taps at the same tensor: what the first call gave that it came out
    of, where one did.

    Selectors that read the same values by the same pooling have the same identity.
    """
    found = tensor_at(seen, tap)
    if found is None:
        return tap
    call = seen.giver(found)
    pooling: Pooling = "flatten" if found.tensor.ndim == 2 else tap.pooling
    if call is None:
        return replace(tap, pooling=pooling)
    return Tap(call.name, "output", pooling=pooling, call=call.number)


def modules_before(seen: Trace, tap: Tap) -> set[str]:
    """The names of the modules whose calls had started when the tap was reached; its own where it
    is an output.
    """
    if tap.module is None:
        return set(seen.starts)
    call = next(c for c in seen.calls if (c.name, c.number) == (tap.module, tap.call))
    return set(seen.starts[: call.started if tap.at == "input" else call.ended])
