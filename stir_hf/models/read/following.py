"""The axes of tensors, space or channels: followed from the images through every
operation of a pass, and never guessed from an axis's position.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

from stir_hf.models.read.axes import (
    Axes,
    Axis,
    Kind,
    axes_of,
    kind_of,
    length_of,
    multiplied,
    regrouped,
    resized,
    unknown,
)


class Following(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's
    """While it is entered, the axes of every tensor that depends on the images are noted."""

    def __init__(self, inputs: Tensor, axes: tuple[Any, ...]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's
        self._axes: Any = WeakTensorKeyDictionary()
        self._axes[inputs] = axes_of(axes, inputs.shape)

    def pooled_over(self, tensor: Tensor) -> tuple[int, ...] | None:
        """The axes of (b, …) beside the first that hold no channels; None where it is not known
        which hold them.
        """
        kinds = [kind_of(axis) for axis in (self._of(tensor) or ())[1:]]
        held = next((kind for kind in ("channel", "colour") if kind in kinds), None)
        if held is None:
            return None
        return tuple(i for i, kind in enumerate(kinds, 1) if kind != held)

    def is_other_first(self, tensor: Tensor) -> bool:
        """Return whether the first axis is known to be another than that of the batch."""
        axes = self._of(tensor)
        return axes is not None and kind_of(axes[0]) not in ("batch", None)

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run an operation, and note the axes of what it gives."""
        out = func(*args, **(kwargs or {}))
        if isinstance(func, torch._ops.OpOverload):
            self._note(func, args, kwargs or {}, out)
        return out

    def _of(self, tensor: Any) -> Axes | None:
        """The axes of a tensor; None where it does not depend on the images."""
        found: Axes | None = self._axes.get(tensor) if isinstance(tensor, Tensor) else None
        return found if found is None or len(found) == tensor.ndim else unknown(tensor.shape)

    def _note(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
        tensors = _tensors((*args, *kwargs.values()))
        given = [axes for x in tensors if (axes := self._of(x)) is not None]
        rule = _RULES.get(func.overloadpacket.__name__.rstrip("_"), _kept)
        dims = _dims(func, args) if given else None
        for tensor in _tensors(out):
            if not given:
                self._axes.pop(tensor, None)
                continue
            made = Made(args, tuple(self._of(x) for x in args), given, dims, tuple(tensor.shape))
            self._axes[tensor] = _found(rule, made)
            if func._schema.is_mutable:
                self._note_base(tensor)

    def _note_base(self, written: Tensor) -> None:
        """Note the axes of a larger tensor of which a part was written to."""
        base = written._base
        if base is None or base in self._axes:
            return
        axes = self._axes[written]
        if base.ndim != written.ndim:
            strides = dict(zip(written.stride(), axes, strict=True))
            axes = [strides.get(stride, ((None, 1),)) for stride in base.stride()]
        self._axes[base] = tuple(map(resized, axes, base.shape))


def _tensors(value: Any) -> Iterator[Tensor]:
    """All tensors among the arguments or the results of an operation."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _tensors(item)


def _dims(func: Any, args: tuple[Any, ...]) -> list[int] | None:
    """The argument `dim` of an operation, where it has one and that is given."""
    for i, argument in enumerate(func._schema.arguments):
        if argument.name in ("dim", "dims"):
            value = args[i] if i < len(args) else argument.default_value
            return [value] if isinstance(value, int) else list(value or ()) or None
    return None


@dataclass(frozen=True)
class Made:
    """A tensor that an operation gave."""

    args: tuple[Any, ...]
    axes: tuple[Axes | None, ...]
    """The axes of each argument that depends on the images."""
    given: list[Axes]
    """The axes of all tensors among the arguments, lists included, that do; there is one at least.
    """
    dims: list[int] | None
    """The argument `dim`."""
    shape: tuple[int, ...]


_Rule: TypeAlias = Callable[[Made], Axes | None]
"""The axes of what was made; None where they are not known."""


def _found(rule: _Rule, made: Made) -> Axes:
    """The axes by a rule; not known where it says so, or does not foresee such arguments."""
    try:
        found = rule(made)
    except Exception:  # of a network that runs: never an error
        found = None
    return unknown(made.shape) if found is None or len(found) != len(made.shape) else found


def _kept(made: Made) -> Axes | None:
    """The axes that it was made of: all, or without those that were summed over or selected from,
    or with new ones.
    """
    main = max(made.given, key=len)
    more = len(made.shape) - len(main)
    if more < 0:
        return _fewer(main, made)
    if more > 0 and made.dims is not None:
        axes = list(main)
        for dim in sorted(dim % len(made.shape) for dim in made.dims):
            axes.insert(dim, ((None, made.shape[dim]),))
        return tuple(axes)
    lengths = [length_of(axis) for axis in main]
    if more > 0 and any(n not in (1, m) for n, m in zip(lengths, made.shape[more:], strict=True)):
        return None
    return tuple(_one_of(made, i - len(made.shape), n) for i, n in enumerate(made.shape))


def _fewer(axes: Axes, made: Made) -> Axes | None:
    if made.dims is None:
        left = [axis for axis in axes if length_of(axis) > 1]
    else:
        gone = {dim % len(axes) for dim in made.dims}
        left = [axis for i, axis in enumerate(axes) if i not in gone]
    return tuple(left) if tuple(map(length_of, left)) == made.shape else None


def _one_of(made: Made, i: int, length: int) -> Axis:
    """An axis, counted from the last, as one of the tensors has it that it was made of: rather one
    of the same length.
    """
    known = [axes[i] for axes in made.given if len(axes) >= -i and kind_of(axes[i]) is not None]
    same = [axis for axis in known if length_of(axis) == length]
    return resized(next(iter(same or known), ((None, length),)), length)


def _view(made: Made) -> Axes | None:
    return regrouped(made.given[0], made.shape)


def _permuted(made: Made) -> Axes | None:
    return tuple(made.given[0][dim] for dim in made.args[1])


def _transposed(made: Made) -> Axes | None:
    axes = list(made.given[0])
    if len(axes) > 1:
        i, j = made.args[1:3] or (0, 1)
        axes[i], axes[j] = axes[j], axes[i]
    return tuple(axes)


def _product(at: int) -> _Rule:
    """The rule of (…, n, k) times (…, k, m), which are the arguments from a number on."""

    def rule(made: Made) -> Axes | None:
        left, right = made.axes[at : at + 2]
        if left is not None:
            columns = right[-1] if right else multiplied(left[-1], left[:-1], made.shape[-1])
            return (*left[:-1], columns)
        if right is None:
            return _kept(made)
        rows = multiplied(right[-2], (*right[:-2], right[-1]), made.shape[-2])
        matrix: Tensor = made.args[at]
        if kind_of(rows) == "channel" and len(matrix) > 1 and matrix.ndim > 2:
            rows = ((None, made.shape[-2]),)  # learned queries, perhaps, and no weights
        return (*right[:-2], rows, right[-1])

    return rule


def _linear(made: Made) -> Axes | None:
    axes = made.axes[0]
    return axes and (*axes[:-1], multiplied(axes[-1], axes[:-1], made.shape[-1]))


def _convolved(made: Made) -> Axes | None:
    axes = made.axes[0]
    if axes is None:
        return None
    rows, summed, *slid = axes
    channels = multiplied(summed, (rows, *slid), made.shape[1])
    features = kind_of(summed) == "channel" and length_of(summed) > 1
    if features or (len(slid) > 1 and all(kind_of(axis) == "channel" for axis in slid)):
        return (rows, channels, *((("space", n),) for n in made.shape[2:]))
    return (rows, channels, *map(resized, slid, made.shape[2:]))


def _features(axis: Axis) -> Kind:
    """Colours where an axis is of colours, else channels."""
    return "colour" if kind_of(axis) == "colour" else "channel"


def _im2col(made: Made) -> Axes | None:
    *rows, merged, places = made.shape
    features, channels = _features(made.given[0][-3]), made.args[0].shape[-3]
    window: Axis = ((features, channels), ("space", merged // channels))
    return (*axes_of(["batch"] * len(rows), rows), window, (("space", places),))


def _col2im(made: Made) -> Axes | None:
    kinds: list[Kind] = ["batch", _features(made.given[0][-2]), "space", "space"]
    return axes_of(kinds[-len(made.shape) :], made.shape)


def _sampled(made: Made) -> Axes | None:
    """Those of maps at the places of a grid, of which either may be the images'."""
    rows, channels, *_ = made.axes[0] or axes_of(("batch", "channel"), made.shape[:2])
    return (rows, channels, *((("space", n),) for n in made.shape[2:]))


def _distances(made: Made) -> Axes | None:
    """Those of all (…, n, d) to all (…, m, d); to what is no image's, as to weights: channels."""
    left, right = made.axes[:2]
    rows, columns = (
        axes[-2] if axes else (("channel", n),)
        for axes, n in zip((left, right), made.shape[-2:], strict=True)
    )
    return (*made.given[0][:-2], rows, columns)


def _unfolded(made: Made) -> Axes | None:
    axes = made.given[0]
    places = tuple(resized(axis, n) for axis, n in zip(axes, made.shape[:-1], strict=True))
    return (*places, ((kind_of(axes[made.args[1]]), made.shape[-1]),))


def _of_complex(made: Made) -> Axes | None:
    return (*made.given[0], (("channel", 2),))


def _as_complex(made: Made) -> Axes | None:
    return made.given[0][:-1]


def _embedded(made: Made) -> Axes | None:
    indices = made.axes[1]
    return indices and (*indices, (("channel", made.shape[-1]),))


def _indexed(made: Made) -> Axes | None:
    """Those that it was taken from, where each stays in its place: the tensors of indices are side
    by side, and of several all but one vary along their own axis alone.
    """
    indices = [(i, index) for i, index in enumerate(made.args[1]) if index is not None]
    (first, _), count = indices[0], len(indices)
    if made.args[0].ndim != len(made.shape) or indices[-1][0] - first != count - 1:
        return None
    own = [
        index.numel() == (index.shape[i - first - count] if index.ndim >= first + count - i else 1)
        for i, index in indices
    ]
    return _kept(made) if count - sum(own) <= 1 else None


_RULES: dict[str, _Rule] = {
    **dict.fromkeys(("view", "_unsafe_view", "reshape", "_reshape_alias"), _view),
    **dict.fromkeys(("transpose", "t"), _transposed),
    **dict.fromkeys(("mm", "bmm"), _product(0)),
    **dict.fromkeys(("addmm", "baddbmm"), _product(1)),
    "permute": _permuted,
    "linear": _linear,
    "convolution": _convolved,
    "im2col": _im2col,
    "col2im": _col2im,
    "unfold": _unfolded,
    **dict.fromkeys(("grid_sampler_2d", "grid_sampler_3d", "cudnn_grid_sampler"), _sampled),
    **dict.fromkeys(("_cdist_forward", "_euclidean_dist"), _distances),
    "view_as_real": _of_complex,
    "view_as_complex": _as_complex,
    "embedding": _embedded,
    "index": _indexed,
}
"""By the name of the operation; all others keep the axes that they were given."""
