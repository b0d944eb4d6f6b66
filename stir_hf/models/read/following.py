"""The axes of tensors, space or channels, followed from the inputs through every operation of a
pass and never guessed from the position of an axis.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

from stir_hf.models.read.axes import Axes, axes_of, kind_of, resized, unknown
from stir_hf.models.read.operations import RULES, Made, axes_made, kept


class Following(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's
    """A context that records the axes of every tensor that depends on the inputs."""

    def __init__(self, inputs: Tensor, axes: tuple[Any, ...]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's
        self._axes: Any = WeakTensorKeyDictionary()
        self._axes[inputs] = axes_of(axes, inputs.shape)

    def pooled_over(self, tensor: Tensor) -> tuple[int, ...] | None:
        """The axes of (b, …) after the first without channels; None if it is unknown which."""
        kinds = [kind_of(axis) for axis in (self._of(tensor) or ())[1:]]
        held = next((kind for kind in ("channel", "colour") if kind in kinds), None)
        if held is None:
            return None
        return tuple(i for i, kind in enumerate(kinds, 1) if kind != held)

    def is_other_first(self, tensor: Tensor) -> bool:
        """Return whether the first axis is known not to be that of the batch."""
        axes = self._of(tensor)
        return axes is not None and kind_of(axes[0]) not in ("batch", None)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation, and record the axes of its results."""
        out = func(*args, **(kwargs or {}))
        if isinstance(func, torch._ops.OpOverload):
            self._note(func, args, kwargs or {}, out)
        return out

    def _of(self, tensor: Any) -> Axes | None:
        """The axes of a tensor; None if it does not depend on the inputs."""
        found: Axes | None = self._axes.get(tensor) if isinstance(tensor, Tensor) else None
        return found if found is None or len(found) == tensor.ndim else unknown(tensor.shape)

    def _note(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
        tensors = tensors_of((args, kwargs))
        given = [axes for x in tensors if (axes := self._of(x)) is not None]
        rule = RULES.get(func.overloadpacket.__name__.rstrip("_"), kept)
        dims = _dims(func, args) if given else None
        for tensor in tensors_of(out):
            if not given:
                self._axes.pop(tensor, None)
                continue
            made = Made(args, tuple(self._of(x) for x in args), given, dims, tuple(tensor.shape))
            self._axes[tensor] = axes_made(rule, made)
            if func._schema.is_mutable:
                self._note_base(tensor)

    def _note_base(self, written: Tensor) -> None:
        """Record the axes of a larger tensor after a write to a view of it."""
        base = written._base
        if base is None or base in self._axes:
            return
        axes = self._axes[written]
        if base.ndim != written.ndim:
            strides = dict(zip(written.stride(), axes, strict=True))
            axes = [strides.get(stride, ((None, 1),)) for stride in base.stride()]
        self._axes[base] = tuple(map(resized, axes, base.shape))


def tensors_of(value: Any) -> Iterator[Tensor]:
    """All tensors of a value, in order, also in dictionaries, tuples and lists."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict | tuple | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from tensors_of(item)


def _dims(func: Any, args: tuple[Any, ...]) -> list[int] | None:
    """The argument `dim` of an operation, if it has one and it is given."""
    for i, argument in enumerate(func._schema.arguments):
        if argument.name in ("dim", "dims"):
            value = args[i] if i < len(args) else argument.default_value
            return [value] if isinstance(value, int) else list(value or ()) or None
    return None
