"""Where a representation is read: a layer by its name, found in one forward pass that was watched.

A selector is `penultimate`, `logits`, `output` (of an `nn.Module`), `hidden_states[i]` or a
module's name, with `#2` for the second call of a module that runs several times, optionally
followed by `:mean`, `:max`, `:cls` or `:flatten`, the rule that makes one vector of it. Which axes
hold channels is known from the pass; where it is not, `:mean:channels-last` says it, or
`:channels-first`.
"""

import re
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from torch import Tensor

from stir_hf.errors import RequestError, closest
from stir_hf.models.read.trace import Call, Seen, Trace, first_tensor

Pooling = Literal["mean", "max", "cls", "flatten"]
POOLINGS: tuple[Pooling, ...] = ("mean", "max", "cls", "flatten")
Layout = Literal["channels-first", "channels-last"]
LAYOUTS: tuple[Layout, ...] = ("channels-first", "channels-last")


@dataclass(frozen=True)
class Layer:
    """One layer that can be read: its name, its shape without the batch axis, and how it is pooled
    by default.
    """

    name: str
    shape: tuple[int, ...]
    pooling: Pooling | None
    """None where it is not known which axes hold channels: `:flatten` or a layout must say."""
    lacks: str | None = None
    """The first of the weights that it depends on and the checkpoint lacks."""
    over: tuple[int, ...] | None = None
    """As `Tap.over`."""

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
    over: tuple[int, ...] | None = None
    """The axes that are pooled over; None are the usual ones, 1 of (b, tokens, d), 2 and more of
    (b, d, h, w).
    """

    def spelling(self) -> dict[str, Any]:
        """All of it, as JSON has it; the usual axes are left out."""
        spelt = asdict(self)
        del spelt["over"]
        return spelt if self.over is None else {**spelt, "over": list(self.over)}

    def pool(self, tensor: Tensor) -> Tensor:
        """(b, …) to (b, d): over tokens or space, or flattened; in the tensor's dtype. (b, d)
        stays as it is.
        """
        if tensor.ndim == 2 or self.pooling == "flatten":
            return tensor.flatten(1)
        if self.pooling == "cls":
            return tensor[:, 0]
        over = self.over or usual_axes(tensor.ndim)
        pooled = tensor.mean(over) if self.pooling == "mean" else tensor.amax(over)
        return pooled.flatten(1)


def usual_axes(ndim: int) -> tuple[int, ...]:
    """The axes that are pooled over of (b, tokens, d) and (b, d, h, w)."""
    return (1,) if ndim == 3 else tuple(range(2, ndim))


def default_pooling(shape: tuple[int, ...]) -> Pooling:
    """`mean` over tokens or space; a vector is taken as it is."""
    return "flatten" if len(shape) <= 1 else "mean"


def with_axes(
    seen: Trace, tap: Tap, layout: Layout | None = None, pooling: Pooling | None = None
) -> Tap:
    """The tap with the axes that it is pooled over: those that hold no channels, by the trace or by
    the layout that was asked for.

    Args:
        seen: the pass.
        tap: where it is read, pooled by default.
        layout: that was asked for.
        pooling: that was asked for, in place of the default.

    Raises:
        RequestError: it is not known which axes hold channels, or all do and a pooling over the
            others was asked for, or `cls` of what has no tokens.
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
        told = "it cannot be told which axes" if over is None else "all axes but the first"
        raise RequestError(
            f"{told} of {shape} hold channels; add :flatten{choices} or :{p}:channels-last to its"
            " name"
        )
    if not over:  # all of them
        return replace(tap, pooling="flatten")
    return replace(tap, over=None if over == usual_axes(ndim) else over)


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
    return tuple(_layer(seen, name, tensor) for name, tensor in found.items())


def _layer(seen: Trace, name: str, tensor: Tensor) -> Layer:
    """The listing of a layer."""
    ndim, shape = tensor.ndim, tuple(tensor.shape[1:])
    over = () if ndim == 2 else seen.axes.pooled_over(tensor)
    if over is None:
        return Layer(name, shape, None)
    usual = not over or over == usual_axes(ndim)
    return Layer(name, shape, "mean" if over else "flatten", over=None if usual else over)


def split_selector(selector: str) -> tuple[str, Pooling | None, Layout | None]:
    """`name:pooling:layout` apart.

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
    return Tap(call.name, "output", pooling=pooling, call=call.number, over=tap.over)


def modules_before(seen: Trace, tap: Tap) -> set[str]:
    """The names of the modules whose calls had started when the tap was reached; its own where it
    is an output.
    """
    if tap.module is None:
        return set(seen.starts)
    call = next(c for c in seen.calls if (c.name, c.number) == (tap.module, tap.call))
    return set(seen.starts[: call.started if tap.at == "input" else call.ended])
