"""Taps: the places in a network where a representation is read, found by name in one watched
forward pass.

A selector is `penultimate`, `logits`, `output` (of an `nn.Module`), `hidden_states[i]` or a
module's name, with `#2` for the second call of a module that runs several times. It may be followed
by the pooling that makes one vector: `:mean`, `:max`, `:cls` or `:flatten`. The channel axes are
found in the pass; if they cannot be found, the selector must add `:channels-last` or
`:channels-first` to the pooling.
"""

import re
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from torch import Tensor

from stir_hf.errors import RequestError, closest
from stir_hf.models.read.trace import Call, Seen, Trace, first_tensor

Pooling = Literal["mean", "max", "cls", "flatten"]
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)
Layout = Literal["channels-first", "channels-last"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)


@dataclass(frozen=True)
class Layer:
    """One readable layer: its name, its shape without the batch axis, and its default pooling."""

    name: str
    shape: tuple[int, ...]
    pooling: Pooling | None
    """None if the channel axes are unknown, so that a selector must add `:flatten` or a layout."""
    lacks: str | None = None
    """The first missing weight on which it depends."""
    over: tuple[int, ...] | None = None
    """The axes that are pooled over, as in `Tap.over`."""

    @property
    def pooled(self) -> str:
        """The default pooling, in words."""
        if self.pooling is None:
            return "? (which axes hold channels is not known)"
        if self.over is None or self.pooling == "flatten":
            return self.pooling
        kept = [i for i in range(1, len(self.shape) + 1) if i not in self.over]
        if kept == [len(self.shape)]:
            return f"{self.pooling}, channels last"
        if kept == [1]:
            return f"{self.pooling}, channels first"
        return f"{self.pooling} over axes {', '.join(map(str, self.over))} of (batch, …)"


@dataclass(frozen=True)
class Tap:
    """The place of a tensor: the input or output of a module, or a part of the result."""

    module: str | None
    at: Literal["input", "output", "result"]
    part: str | int | None = None
    """The part of the result: the name of a field, or the number of a hidden state."""
    pooling: Pooling = "flatten"
    call: int = 0
    """The number of the module's call, from 0."""
    over: tuple[int, ...] | None = None
    """The axes that are pooled over; None for the usual ones: 1 in (b, tokens, d), 2 and more in
    (b, d, h, w).
    """

    def spelling(self) -> dict[str, Any]:
        """The tap as plain data for JSON, without the usual axes."""
        spelt = asdict(self)
        del spelt["over"]
        return spelt if self.over is None else {**spelt, "over": list(self.over)}

    def pool(self, tensor: Tensor) -> Tensor:
        """Pool (b, …) over tokens or space, or flatten it, to (b, d) in the tensor's dtype."""
        if tensor.ndim == 2 or self.pooling == "flatten":
            return tensor.flatten(1)
        if self.pooling == "cls":
            return tensor[:, 0]
        over = self.over or usual_axes(tensor.ndim)
        pooled = tensor.mean(over) if self.pooling == "mean" else tensor.amax(over)
        return pooled.flatten(1)


def usual_axes(ndim: int) -> tuple[int, ...]:
    """The axes over which (b, tokens, d) or (b, d, h, w) is pooled by default."""
    return (1,) if ndim == 3 else tuple(range(2, ndim))


def default_pooling(tensor: Tensor) -> Pooling:
    """The default pooling of (b, …): `mean` over tokens or space, `flatten` for a vector."""
    return "flatten" if tensor.ndim <= 2 else "mean"


def with_axes(
    seen: Trace, tap: Tap, layout: Layout | None = None, pooling: Pooling | None = None
) -> Tap:
    """The tap with the axes over which it is pooled: those without channels, by the watched pass or
    by the requested layout. `pooling` takes the place of the default.

    Raises:
        RequestError: the channel axes are unknown; all axes hold channels, so that there is nothing
            to pool over; or `cls` for a tensor without tokens.
    """
    tap = tap if pooling is None else replace(tap, pooling=pooling)
    found = tensor_at(seen, tap)
    if found is None or found.tensor.ndim == 2 or tap.pooling == "flatten":
        return tap
    ndim = found.tensor.ndim
    shape = f"(b, {', '.join(map(str, found.tensor.shape[1:]))})"
    if layout is None:
        over = seen.axes.pooled_over(found.tensor)
    else:
        over = tuple(range(2, ndim)) if layout == "channels-first" else tuple(range(1, ndim - 1))
    if tap.pooling == "cls" and (ndim != 3 or over not in (None, (1,))):
        raise RequestError(f"pooling 'cls' needs tokens of shape (b, t, d), not {shape}")
    if over is None or (not over and pooling is not None):
        p = tap.pooling
        choices = "" if p == "cls" else f", :{p}:channels-first"
        told = "it is unknown which axes" if over is None else "all axes but the first"
        raise RequestError(
            f"{told} of {shape} hold channels; add :flatten{choices} or :{p}:channels-last to the"
            " name of the layer"
        )
    if not over:  # all of them
        return replace(tap, pooling="flatten")
    return replace(tap, over=None if over == usual_axes(ndim) else over)


def list_layers(seen: Trace) -> tuple[Layer, ...]:
    """All readable layers: modules in the order of the pass, then hidden states and logits."""
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
    return tuple(_layer(seen, name, tensor) for name, tensor in found.items())


def _layer(seen: Trace, name: str, tensor: Tensor) -> Layer:
    """The entry of a layer in the list of layers."""
    ndim, shape = tensor.ndim, tuple(tensor.shape[1:])
    over = () if ndim == 2 else seen.axes.pooled_over(tensor)
    if over is None:
        return Layer(name, shape, None)
    usual = not over or over == usual_axes(ndim)
    return Layer(name, shape, "mean" if over else "flatten", over=None if usual else over)


def split_selector(selector: str) -> tuple[str, Pooling | None, Layout | None]:
    """Split a selector `name:pooling:layout`.

    Raises:
        RequestError: an unknown pooling, or a layout that is unknown or makes no difference.
    """
    name, *rules = selector.split(":")
    pooling = next((known for known in POOLINGS if rules[:1] == [known]), None)
    layout = next((known for known in LAYOUTS if rules[1:] == [known]), None)
    if rules and pooling is None:
        raise RequestError(
            f"pooling {rules[0]!r} of layer {selector!r} is unknown; there are:"
            f" {', '.join(POOLINGS)}"
        )
    if len(rules) > 1 and (layout is None or pooling == "flatten"):
        raise RequestError(
            f"{':'.join(rules[1:])!r} of layer {selector!r} is unknown; :mean, :max and :cls may be"
            f" followed by :{' or :'.join(LAYOUTS)}"
        )
    return name, pooling, layout


def split_call(name: str) -> tuple[str, int | None]:
    """Split `name#2` into the module and the number of its call, from 0, or None."""
    match = re.fullmatch(r"(.*)#([1-9]\d*)", name)
    return (match[1], int(match[2]) - 1) if match else (name, None)


def find(name: str, seen: Trace) -> Tap:
    """The tap of a layer in a traced network, with its default pooling; `name` is a selector
    without pooling.

    Raises:
        RequestError: no such layer, or a module that runs several times; the choices are named.
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
            raise without_rows(repr(name), given[0].shape, seen.fed)
        known = ["penultimate", *(layer.name for layer in list_layers(seen))]
        raise RequestError(
            f"no layer {name!r}; {closest(name, known)} (`stir-hf layers MODEL` lists them)"
        )
    return output_of(chosen[0])


def without_rows(layer: str, shape: tuple[int, ...], count: int) -> RequestError:
    """The error for a layer without one row per input."""
    return RequestError(
        f"layer {layer} gives a tensor of shape {shape} for {count} inputs, not one row for each;"
        " choose another layer (`stir-hf layers MODEL` lists them)"
    )


def tap_of(seen: Trace, tensor: Tensor, part: str | int | None) -> Tap:
    """The tap at the call that outputs this tensor, so that the pass can stop there; otherwise at
    the part of the result.
    """
    call = seen.giver(tensor)
    if call is not None:
        return output_of(call)
    return Tap(None, "result", part, default_pooling(tensor))


def output_of(call: Call) -> Tap:
    """The tap at the output of a call, with its default pooling."""
    assert call.gave is not None
    return Tap(call.name, "output", None, default_pooling(call.gave.tensor), call.number)


def tensor_at(seen: Trace, tap: Tap) -> Seen | None:
    """The tensor at a tap in a trace; None if there was no tensor with the batch axis."""
    if tap.module is None:
        tensor = part_of(seen.result, tap.part)
        return Seen(tensor, None) if tensor is not None and seen.has_rows(tensor) else None
    call = next(c for c in seen.calls if (c.name, c.number) == (tap.module, tap.call))
    return call.given if tap.at == "input" else call.gave


def part_of(result: Any, part: str | int | None) -> Tensor | None:
    """The tensor in a network's result: by the name of a field (the last one of several feature
    maps), by the number of a hidden state, or the first tensor.
    """
    if isinstance(part, int):
        return first_tensor(result.hidden_states[part])
    if part in ("feature_maps", "fpn_hidden_states"):
        return first_tensor(getattr(result, part)[-1])
    return first_tensor(result if part is None else getattr(result, part))


def earliest(seen: Trace, tap: Tap, found: Seen) -> Tap:
    """The canonical tap among all taps at the tensor that was found: the output of the first call
    that returned it, if there is one. Selectors that read the same values with the same pooling
    thus have the same identity.
    """
    call = seen.giver(found)
    pooling: Pooling = "flatten" if found.tensor.ndim == 2 else tap.pooling
    if call is None:
        return replace(tap, pooling=pooling)
    return Tap(call.name, "output", None, pooling, call.number, tap.over)


def modules_before(seen: Trace, tap: Tap) -> set[str]:
    """The names of the modules whose calls had started when the tap was reached."""
    if tap.module is None:
        return set(seen.starts)
    call = next(c for c in seen.calls if (c.name, c.number) == (tap.module, tap.call))
    return set(seen.starts[: call.started if tap.at == "input" else call.ended])
