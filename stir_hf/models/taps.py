"""Where a representation is read: a layer by its name, found by watching one forward pass.

A selector is `penultimate`, `logits`, `output` (of an `nn.Module`), `hidden_states[i]` or a module's name, optionally
followed by `:mean`, `:max`, `:cls` or `:flatten`, the rule that makes one vector of it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from stir_hf.errors import RequestError, closest

Forward = Callable[..., Any]
Pooling = Literal["mean", "max", "cls", "flatten"]
POOLINGS: tuple[Pooling, ...] = ("mean", "max", "cls", "flatten")


@dataclass(frozen=True)
class Layer:
    """One layer that can be read: its name, its shape without the batch axis, and how it is pooled by default."""

    name: str
    shape: tuple[int, ...]
    pooling: Pooling


@dataclass(frozen=True)
class Tap:
    """The place where a tensor is taken: what goes into a module, what comes out of it, or a part of the result."""

    module: str | None
    at: Literal["input", "output", "result"]
    part: str | int | None = None
    """Of the result: a field's name, or the number of a hidden state."""
    pooling: Pooling = "flatten"


class _Reached(Exception):  # noqa: N818 - no error: it ends the forward pass
    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


@dataclass
class Trace:
    """One forward pass, watched: which modules ran, in order, and what they gave."""

    calls: list[tuple[str, Tensor, Tensor | None]] = field(default_factory=list)
    """(module's name, output, first input) of every call whose output has the batch axis."""
    result: Any = None
    leaves: frozenset[str] = frozenset()

    def producer(self, tensor: Tensor | None) -> str | None:
        """The last module whose output is this very tensor."""
        names = [name for name, output, _ in self.calls if output is tensor and name]
        return names[-1] if names else None


def first_tensor(value: Any) -> Tensor | None:
    """The first tensor of a module's output, which may be a tuple or a dictionary."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, tuple | list):
        return next((found for item in value if (found := first_tensor(item)) is not None), None)
    return None


def trace(module: nn.Module, forward: Forward, inputs: Tensor) -> Trace:
    """Watch one forward pass of `inputs` (b, c, h, w)."""
    seen = Trace(
        leaves=frozenset(name for name, m in module.named_modules() if not any(m.children()))
    )

    def note(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            tensor = first_tensor(output)
            if tensor is not None and tensor.ndim >= 2 and len(tensor) == len(inputs):
                seen.calls.append((name, tensor, first_tensor(args)))

        return hook

    handles = [m.register_forward_hook(note(name)) for name, m in module.named_modules()]
    try:
        with torch.no_grad():
            seen.result = forward(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return seen


def read(module: nn.Module, forward: Forward, inputs: Tensor, tap: Tap) -> Tensor:
    """Run `forward` up to the tap and give the pooled representation there, (b, d)."""
    if tap.module is None:
        result = forward(inputs)
        tensor = (
            result.hidden_states[tap.part] if isinstance(tap.part, int) else _part(result, tap.part)
        )
        return pool(tensor, tap.pooling)

    def stop_before(_: nn.Module, args: tuple[Any, ...]) -> None:
        raise _Reached(_some(first_tensor(args), tap))

    def stop_after(_: nn.Module, args: tuple[Any, ...], output: Any) -> None:  # noqa: ARG001 - a hook
        raise _Reached(_some(first_tensor(output), tap))

    target = module.get_submodule(tap.module)
    hook = (
        target.register_forward_pre_hook(stop_before)
        if tap.at == "input"
        else target.register_forward_hook(stop_after)
    )
    try:
        forward(inputs)
    except _Reached as reached:
        return pool(reached.tensor, tap.pooling)
    finally:
        hook.remove()
    raise RequestError(f"layer {tap.module!r} takes no part in the forward pass")


def pool(tensor: Tensor, pooling: Pooling) -> Tensor:
    """(b, d), (b, tokens, d) or (b, d, h, w) to (b, d'): over tokens or space, or flattened."""
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
    """All that can be read, in the order of the forward pass; modules first, then hidden states and logits."""
    found = {name: tensor for name, tensor, _ in seen.calls if name}
    for i, tensor in enumerate(getattr(seen.result, "hidden_states", None) or ()):
        found[f"hidden_states[{i}]"] = tensor
    if isinstance(getattr(seen.result, "logits", None), Tensor):
        found["logits"] = seen.result.logits
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


def find(selector: str, seen: Trace, penultimate: Tap | None) -> Tap:
    """The tap of a layer selector in a traced network.

    Raises:
        RequestError: no such layer; the nearest names are given.
    """
    name, pooling = split_selector(selector)
    tap = _find(name, seen, penultimate)
    if tap is None:
        known = ["penultimate", *(layer.name for layer in list_layers(seen))]
        raise RequestError(
            f"no layer {name!r}; {closest(name, known)} (`stir-hf layers MODEL` lists them)"
        )
    return tap if pooling is None else Tap(tap.module, tap.at, tap.part, pooling)


def _find(name: str, seen: Trace, penultimate: Tap | None) -> Tap | None:
    if name == "penultimate" and penultimate is not None:
        return penultimate
    logits = getattr(seen.result, "logits", None)
    if name == "logits" and isinstance(logits, Tensor):
        return _tap(seen, logits, "logits")
    if match := re.fullmatch(r"hidden_states\[(-?\d+)\]", name):
        states = getattr(seen.result, "hidden_states", None) or ()
        i = int(match[1])
        return _tap(seen, states[i], i) if -len(states) <= i < len(states) else None
    for module, output, _ in seen.calls:
        if module == name and name:
            return Tap(module, "output", pooling=default_pooling(tuple(output.shape[1:])))
    return None


def _tap(seen: Trace, tensor: Tensor, part: str | int) -> Tap:
    """The module that gives this tensor, so that the pass can stop there; else the part of the result."""
    pooling = default_pooling(tuple(tensor.shape[1:]))
    module = seen.producer(tensor)
    return (
        Tap(None, "result", part, pooling)
        if module is None
        else Tap(module, "output", pooling=pooling)
    )


def classifier_input(seen: Trace) -> Tap | None:
    """What the final classifier is fed: the input of the last leaf module that gives the logits.

    Where the logits are a mean of several heads (distilled networks), the first of them.
    """
    logits = getattr(seen.result, "logits", None)
    if not isinstance(logits, Tensor):
        return None
    leaves = [
        (name, out) for name, out, inp in seen.calls if name in seen.leaves and inp is not None
    ]
    exact = [name for name, out in leaves if out is logits]
    shaped = [name for name, out in leaves if out.shape == logits.shape]
    if not exact and not shaped:
        return None
    return Tap(exact[-1] if exact else shaped[0], "input", pooling="flatten")


def backbone_output(seen: Trace, *, pooler: bool, cls_token: bool) -> Tap | None:
    """Of a network without a classifier: its pooler, if it may be used; else CLS, or the mean over tokens or space."""
    pooled = getattr(seen.result, "pooler_output", None)
    if pooler and isinstance(pooled, Tensor):
        tap = _tap(seen, pooled, "pooler_output")
        return Tap(tap.module, tap.at, tap.part, "flatten")
    last = getattr(seen.result, "last_hidden_state", None)
    if not isinstance(last, Tensor):
        return None
    tap = _tap(seen, last, "last_hidden_state")
    return Tap(tap.module, tap.at, tap.part, "cls" if cls_token and last.ndim == 3 else tap.pooling)


def _part(result: Any, name: str | None) -> Tensor:
    tensor = first_tensor(result if name is None else getattr(result, name))
    if tensor is None:
        raise RequestError(f"the network's result holds no tensor ({type(result).__name__})")
    return tensor


def _some(tensor: Tensor | None, tap: Tap) -> Tensor:
    if tensor is None:
        raise RequestError(f"the {tap.at} of layer {tap.module!r} holds no tensor")
    return tensor
