"""The axes of the results of torch operations, from the axes of their arguments."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from torch import Tensor

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


@dataclass(frozen=True)
class Made:
    """The result of an operation, with the axes of its arguments."""

    args: tuple[Any, ...]
    axes: tuple[Axes | None, ...]
    """The axes of each argument; None for one that does not depend on the inputs."""
    given: list[Axes]
    """The axes of all tensors that depend on the inputs, including those in lists; at least one."""
    dims: list[int] | None
    """The argument `dim`."""
    shape: tuple[int, ...]


Rule: TypeAlias = Callable[[Made], Axes | None]
"""Function from a result to its axes; None if they are unknown."""


def axes_made(rule: Rule, made: Made) -> Axes:
    """The axes by a rule; unknown if it returns None, or fails on unforeseen arguments."""
    try:
        found = rule(made)
    except Exception:  # a rule must never stop a network that runs
        found = None
    return unknown(made.shape) if found is None or len(found) != len(made.shape) else found


def kept(made: Made) -> Axes | None:
    """The axes of the arguments, without those summed over or selected from, and with new ones."""
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
    """The axis at `i`, from the last, of one of the arguments; of the same length if any is."""
    known = [axes[i] for axes in made.given if len(axes) >= -i and kind_of(axes[i]) is not None]
    same = [axis for axis in known if length_of(axis) == length]
    return resized(next(iter(same or known), ((None, length),)), length)


def _transposed(made: Made) -> Axes | None:
    axes = list(made.given[0])
    if len(axes) > 1:
        i, j = made.args[1:3] or (0, 1)
        axes[i], axes[j] = axes[j], axes[i]
    return tuple(axes)


def _product(at: int) -> Rule:
    """The rule for (…, n, k) times (…, k, m), which are the arguments at `at` and after it."""

    def rule(made: Made) -> Axes | None:
        left, right = made.axes[at : at + 2]
        if left is not None:
            columns = right[-1] if right else multiplied(left[-1], left[:-1], made.shape[-1])
            return (*left[:-1], columns)
        if right is None:
            return kept(made)
        rows = multiplied(right[-2], (*right[:-2], right[-1]), made.shape[-2])
        matrix: Tensor = made.args[at]
        if kind_of(rows) == "channel" and len(matrix) > 1 and matrix.ndim > 2:
            rows = ((None, made.shape[-2]),)  # perhaps learnt queries instead of weights
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
    """Return colours for an axis of colours, else channels."""
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
    """The axes of maps sampled at a grid; the maps, the grid or both depend on the inputs."""
    rows, channels, *_ = made.axes[0] or axes_of(("batch", "channel"), made.shape[:2])
    return (rows, channels, *((("space", n),) for n in made.shape[2:]))


def _distances(made: Made) -> Axes | None:
    """The axes of distances between (…, n, d) and (…, m, d); distances to weights are channels."""
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


def _embedded(made: Made) -> Axes | None:
    indices = made.axes[1]
    return indices and (*indices, (("channel", made.shape[-1]),))


def _indexed(made: Made) -> Axes | None:
    """The axes of the indexed tensor, if each keeps its place: the index tensors are adjacent, and
    all but one vary only along their own axis.
    """
    indices = [(i, index) for i, index in enumerate(made.args[1]) if index is not None]
    (first, _), count = indices[0], len(indices)
    if made.args[0].ndim != len(made.shape) or indices[-1][0] - first != count - 1:
        return None
    own = [
        index.numel() == (index.shape[i - first - count] if index.ndim >= first + count - i else 1)
        for i, index in indices
    ]
    return kept(made) if count - sum(own) <= 1 else None


RULES: dict[str, Rule] = {
    **dict.fromkeys(
        ("view", "_unsafe_view", "reshape", "_reshape_alias"),
        lambda made: regrouped(made.given[0], made.shape),
    ),
    **dict.fromkeys(("transpose", "t"), _transposed),
    **dict.fromkeys(("mm", "bmm"), _product(0)),
    **dict.fromkeys(("addmm", "baddbmm"), _product(1)),
    "permute": lambda made: tuple(made.given[0][dim] for dim in made.args[1]),
    "linear": _linear,
    "convolution": _convolved,
    "im2col": _im2col,
    "col2im": _col2im,
    "unfold": _unfolded,
    **dict.fromkeys(("grid_sampler_2d", "grid_sampler_3d", "cudnn_grid_sampler"), _sampled),
    **dict.fromkeys(("_cdist_forward", "_euclidean_dist"), _distances),
    "view_as_real": lambda made: (*made.given[0], (("channel", 2),)),
    "view_as_complex": lambda made: made.given[0][:-1],
    "embedding": _embedded,
    "index": _indexed,
}
"""Rules by the name of the operation; all other operations keep the axes of their arguments."""
