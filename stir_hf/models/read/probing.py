"""The layers of a network and the one that is read, found in one pass over a fixed probe."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor

from stir_hf.errors import RequestError, one_line
from stir_hf.inputs.base import Kind
from stir_hf.models.read.penultimate import lacking, penultimate, penultimate_notes
from stir_hf.models.read.taps import (
    Layer,
    Tap,
    earliest,
    find,
    list_layers,
    part_of,
    split_call,
    split_selector,
    tap_of,
    tensor_at,
    with_axes,
    without_rows,
)
from stir_hf.models.read.trace import Trace, trace
from stir_hf.models.run.frozen import frozen
from stir_hf.models.run.network import Network
from stir_hf.models.run.precision import float32_precision

_TOLERANCES = {torch.float16: 1e-2, torch.bfloat16: 5e-2}
_TOLERANCE, _TF32_TOLERANCE = 1e-4, 2e-2
"""How far two passes over the same images may differ, relatively: their additions may be done in
another order.
"""


class LayerError(RequestError):
    """A layer that cannot be read, of a network that runs.

    Attributes:
        layers: those that it has, the default one first.
    """

    def __init__(self, message: str, layers: tuple[Layer, ...] = ()) -> None:
        super().__init__(message)
        self.layers = layers


@dataclass(eq=False)
class Reading:
    """The layer that is read, as it was found in one pass over the probe."""

    tap: Tap
    spelling: Tap
    """The same for all selectors of the same tensor."""
    is_head_input: bool
    kind: Kind
    """Of the probe: the network's own inputs."""
    representation: Tensor
    """(2, d), of the probe."""
    layers: tuple[Layer, ...] = field(repr=False)
    penultimate: Layer | None
    notes: tuple[str, ...] = ()
    """Notes of a result on the layer."""


def read_probe(network: Network, selector: str, kind: Kind) -> Reading:
    """Find a layer by watching one pass over the probe.

    Raises:
        LayerError: no such layer, a pooling that the layer does not allow, or weights that the
            checkpoint lacks.
        RequestError: inputs that the network does not take, or a network that does not run.
    """
    with frozen(network.module), float32_precision(tf32=False):
        keep = split_call(split_selector(selector)[0])[0]
        with _running(network):
            seen = trace(network, kind, keep)
        try:
            return _read(seen, network, selector, kind)
        except RequestError as error:
            default = _default(seen, network)
            first = () if default is None else default[1:]
            raise LayerError(str(error), (*first, *_listed(seen, network))) from error


@contextmanager
def _running(network: Network) -> Iterator[None]:
    """A context of the first pass of a network of transformers: some need more than one input, or
    have settings under which they do not run.

    Raises:
        RequestError: it does not run.
    """
    try:
        yield
    except (TypeError, AttributeError, LookupError, ZeroDivisionError) as error:
        if not network.transformers:
            raise
        raise RequestError(
            f"model {network.name} cannot be read: {type(network.module).__name__} does not run on"
            f" {network.modality}s alone ({type(error).__name__}: {one_line(error)})"
        ) from error


def _listed(seen: Trace, network: Network) -> tuple[Layer, ...]:
    """All layers, with the weights that the checkpoint lacks and they depend on."""
    layers = list_layers(seen)
    if not network.missing:
        return layers
    return tuple(_lacks(seen, network, find(one.name, seen), one) for one in layers)


def _lacks(seen: Trace, network: Network, tap: Tap, layer: Layer) -> Layer:
    return replace(layer, lacks=next(iter(lacking(seen, network, tap)), None))


def _read(seen: Trace, network: Network, selector: str, kind: Kind) -> Reading:
    tap = resolve(seen, network, selector)
    found = tensor_at(seen, tap)
    if found is not None and found.value is None:  # it was written to later: copy it in time
        seen = trace(network, kind, tap.module)
        found = tensor_at(seen, tap)
    whole = part_of(seen.result, tap.part) if tap.module is None else None
    if found is None and whole is not None and whole.ndim > 1:
        raise without_rows(f"{selector} of {network.name}", tuple(whole.shape), seen.fed)
    if found is None or found.value is None or found.value.ndim < 2:
        raise RequestError(
            f"layer {selector!r} of {network.name} holds no tensor of shape (batch, …)"
        )
    if found.value.is_complex():
        raise RequestError(f"layer {selector!r} of {network.name} holds complex numbers")
    if lacks := lacking(seen, network, tap):
        raise RequestError(
            f"checkpoint {network.name} lacks {lacks[0]}, which layer {selector!r} depends on"
        )
    value = tap.pool(found.value)[: seen.rows]
    default = _default(seen, network)
    return Reading(
        tap,
        earliest(seen, tap),
        default is not None and tap.at == "input" and tap.module == default[0].module,
        kind,
        value.to(network.device, network.input_dtype, copy=True),
        _listed(seen, network),
        None if default is None else default[1],
        _notes(seen, network, selector),
    )


def _notes(seen: Trace, network: Network, selector: str) -> tuple[str, ...]:
    by_default = network.transformers and split_selector(selector)[0] == "penultimate"
    return penultimate_notes(seen, network) if by_default else ()


def resolve(seen: Trace, network: Network, selector: str) -> Tap:
    """The tap of a selector, with its pooling.

    Raises:
        RequestError: no such layer; the nearest names are given.
    """
    name, pooling, layout = split_selector(selector)
    if network.transformers and name == "penultimate":
        tap = penultimate(seen, network)
    elif name == "output":
        tap = _output(seen, network)
    else:
        tap = find(name, seen)
    try:
        return with_axes(seen, tap, layout, pooling)
    except RequestError as error:
        raise RequestError(f"layer {selector!r} of {network.name}: {error}") from error


def _output(seen: Trace, network: Network) -> Tap:
    """The first tensor of the result; of a model of `transformers` as its module gives it, of
    another module flattened.
    """
    tensor = part_of(seen.result, None)
    if not network.transformers or tensor is None:
        return Tap(None, "result")
    return tap_of(seen, tensor, None)


def _default(seen: Trace, network: Network) -> tuple[Tap, Layer] | None:
    """The penultimate layer of a model of `transformers`, and how it is listed; None where there
    is none.
    """
    if not network.transformers:
        return None
    try:
        tap = with_axes(seen, penultimate(seen, network))
    except RequestError:
        return None
    found = tensor_at(seen, tap)
    if found is None:
        return None
    width = tap.pool(found.tensor).shape[1]
    place = f"{tap.at} of {tap.module}" if tap.module else str(tap.part)
    layer = Layer(f"penultimate ({place})", (width,), tap.pooling, over=tap.over)
    return tap, _lacks(seen, network, tap, layer)


class Open(Protocol):
    """An open session."""

    network: Network
    reading: Reading
    tf32: bool

    def __call__(self, values: Tensor) -> Tensor:
        """The representation (b, d)."""


def check_repeats(session: Open, found: Tensor, kind: Kind) -> None:
    """Check that `found` (2, d) is the probe's representation as it was when the layer was found.

    A network that was changed since (trained, say) is read anew before it is refused.

    Raises:
        RequestError: the network gives another representation for the same images; a module that
            differs is named.
    """
    network, reading, tap = session.network, session.reading, session.reading.tap
    near = _nearness(network, tf32=session.tf32)
    if kind == reading.kind and near(found, reading.representation):
        return
    seen = trace(network, kind, tap.module)
    tensor = tensor_at(seen, tap)
    if tensor is not None and tensor.value is not None:
        value = tap.pool(tensor.value)[: seen.rows]
        value = value.to(network.device, network.input_dtype, copy=True)
        if near(found, value):
            reading.representation, reading.kind = value, kind
            return
    name = _first_difference(seen, trace(network, kind), near)
    where = f"; the first module that differs is {name!r}" if name else ""
    raise RequestError(
        f"{network.name} gives other representations for the same {network.modality}, so it has"
        f" none of its own{where}; does it draw at random, remember what it saw, or look at the"
        f" other {network.modality}s of a batch?"
    )


def tolerance_of(dtype: torch.dtype, *, tf32: bool) -> float:
    """Return the largest relative difference of two passes over the same images in a precision."""
    return _TF32_TOLERANCE if tf32 else _TOLERANCES.get(dtype, _TOLERANCE)


def _nearness(network: Network, *, tf32: bool) -> Callable[[Tensor, Tensor], bool]:
    tolerance = tolerance_of(network.dtype, tf32=tf32)

    def near(one: Tensor, two: Tensor) -> bool:
        if one.shape != two.shape:
            return False
        if not bool(one.isfinite().all() & two.isfinite().all()):
            return bool(((one == two) | (one.isnan() & two.isnan())).all())
        scale = torch.maximum(one.double().norm(), two.double().norm())
        return bool((one.double() - two.double()).norm() <= tolerance * scale)

    return near


def _first_difference(one: Trace, two: Trace, near: Callable[[Tensor, Tensor], bool]) -> str | None:
    """The first module to end whose outputs differ between two passes over the same images."""
    for a, b in zip(one.calls, two.calls, strict=False):
        if a.name != b.name:
            return a.name
        if a.gave is not None and (b.gave is None or not near(a.gave.tensor, b.gave.tensor)):
            return a.name or type(a.module).__name__
    return None


STEADY_PASSES = 8
"""Number of further passes that tell a network that drifts from one that adds in another order each
time.
"""


def check_steady(session: Open, probe: Tensor) -> None:
    """Check that passes over other inputs leave the representation of the probe as it was when it
    was last traced, to the bit.

    Raises:
        RequestError: a network that keeps something of what it saw, however little: its scores
            would depend on how many passes there were before.
    """
    module, expected = session.network.module, session.reading.representation
    buffers = {name: buffer.clone() for name, buffer in module.named_buffers()}
    first = session(probe)
    if torch.equal(first, expected):
        return

    def again() -> Tensor:
        session(1 - probe)
        return session(probe)

    second = again()
    if torch.equal(second, first):  # other kernels than when it was traced
        return
    for _ in range(STEADY_PASSES):
        last = again()
    now = dict(module.named_buffers())
    changed = [n for n, b in buffers.items() if not b.is_meta and not torch.equal(b, now[n])]
    step, drift = ((one - first).double().norm() for one in (second, last))
    if not changed and not bool(drift > STEADY_PASSES / 2 * step):
        return
    what = f" (its buffer {changed[0]} changes)" if changed else ""
    raise RequestError(
        f"{session.network.name} changes a little in every pass{what}, so an input has no"
        " representation of its own; give it without what it keeps of earlier passes"
    )
