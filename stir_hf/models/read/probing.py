"""The layers of a network and the selected one, found in one pass over a fixed probe."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from torch import Tensor

from stir_hf.errors import RequestError, one_line
from stir_hf.inputs.base import Kind
from stir_hf.models.network import Network
from stir_hf.models.read.penultimate import Chosen, lacking, penultimate
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
from stir_hf.models.run.precision import float32_precision


class LayerError(RequestError):
    """A layer that cannot be read in a network that runs.

    Attributes:
        layers: the layers of the network, the default one first.
    """

    def __init__(self, message: str, layers: tuple[Layer, ...] = ()) -> None:
        super().__init__(message)
        self.layers = layers


@dataclass(eq=False)
class Reading:
    """The selected layer, found in one pass over the probe."""

    tap: Tap
    spelling: Tap
    """The canonical tap, the same for all selectors of the same tensor."""
    is_head_input: bool
    kind: Kind
    """The kind of the probe: the network's own inputs."""
    representation: Tensor
    """(2, d): the representation of the probe."""
    layers: tuple[Layer, ...] = field(repr=False)
    penultimate: Layer | None
    notes: tuple[str, ...] = ()
    """Notes of a result on the layer."""
    rounding: tuple[str, ...] | None = None
    """Notes of a result on values that the canvas rounds; None until they were measured."""


def read_probe(network: Network, selector: str, kind: Kind) -> Reading:
    """Find a layer by watching one pass over the probe.

    Raises:
        LayerError: no such layer, a pooling that the layer does not allow, or weights missing from
            the checkpoint.
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
    """A context for a first pass, which some networks of transformers do not run without more."""
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
    """All layers, each with the first missing weight on which it depends."""
    layers = list_layers(seen)
    if not network.missing:
        return layers
    return tuple(_lacks(seen, network, find(one.name, seen), one) for one in layers)


def _lacks(seen: Trace, network: Network, tap: Tap, layer: Layer) -> Layer:
    return replace(layer, lacks=next(iter(lacking(seen, network, tap)), None))


def _read(seen: Trace, network: Network, selector: str, kind: Kind) -> Reading:
    tap, notes = resolve(seen, network, selector)
    found = tensor_at(seen, tap)
    if found is not None and found.value is None:  # it was overwritten: copy it in another pass
        seen = trace(network, kind, tap.module)
        found = tensor_at(seen, tap)
    whole = part_of(seen.result, tap.part) if tap.module is None else None
    if found is None and whole is not None and whole.ndim > 1:
        raise without_rows(f"{selector!r} of {network.name}", tuple(whole.shape), seen.fed)
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
        earliest(seen, tap, found),
        default is not None and tap.at == "input" and tap.module == default[0].module,
        kind,
        value.to(network.device, network.input_dtype, copy=True),
        _listed(seen, network),
        None if default is None else default[1],
        notes,
    )


def resolve(seen: Trace, network: Network, selector: str) -> Chosen:
    """The tap for a selector, with its pooling, and notes on it.

    Raises:
        RequestError: no such layer; the nearest names are given.
    """
    name, pooling, layout = split_selector(selector)
    notes: tuple[str, ...] = ()
    if network.transformers and name == "penultimate":
        tap, notes = penultimate(seen, network)
    elif name == "output":
        tensor = part_of(seen.result, None) if network.transformers else None  # or all, flattened
        tap = Tap(None, "result") if tensor is None else tap_of(seen, tensor, None)
    else:
        tap = find(name, seen)
    try:
        return with_axes(seen, tap, layout, pooling), notes
    except RequestError as error:
        raise RequestError(f"layer {selector!r} of {network.name}: {error}") from error


def _default(seen: Trace, network: Network) -> tuple[Tap, Layer] | None:
    """The penultimate layer of a model of `transformers` with its listing, or None."""
    if not network.transformers:
        return None
    try:
        tap = with_axes(seen, penultimate(seen, network)[0])
    except RequestError:
        return None
    found = tensor_at(seen, tap)
    if found is None:
        return None
    width = tap.pool(found.tensor).shape[1]
    place = f"{tap.at} of {tap.module}" if tap.module else str(tap.part)
    layer = Layer(f"penultimate ({place})", (width,), tap.pooling, over=tap.over)
    return tap, _lacks(seen, network, tap, layer)
