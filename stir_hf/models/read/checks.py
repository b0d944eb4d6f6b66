"""Checks that a network represents an input alike in every pass, and that it can be inverted."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from stir_hf.errors import RequestError, RunError, is_out_of_memory, one_line
from stir_hf.inputs.base import Kind
from stir_hf.models.network import Network
from stir_hf.models.read.probing import Reading
from stir_hf.models.read.taps import tensor_at
from stir_hf.models.read.trace import Trace, trace

_TOLERANCES = {torch.float16: 1e-2, torch.bfloat16: 5e-2}
_TOLERANCE, _TF32_TOLERANCE = 1e-4, 2e-2
"""Largest relative difference of two passes over the same inputs, with additions in any order."""


def check_repeats(
    network: Network, reading: Reading, found: Tensor, kind: Kind, *, tf32: bool
) -> None:
    """Check that `found` (2, d) equals the probe's representation from when the layer was found.

    For a network that has changed since (by training, say), that representation is taken again.

    Raises:
        RequestError: the network gives another representation for the same inputs; a module that
            differs is named.
    """
    tap, tolerance = reading.tap, tolerance_of(network.dtype, tf32=tf32)
    if kind == reading.kind and _near(found, reading.representation, tolerance):
        return
    seen = trace(network, kind, tap.module)
    tensor = tensor_at(seen, tap)
    if tensor is not None and tensor.value is not None:
        value = tap.pool(tensor.value)[: seen.rows]
        value = value.to(network.device, network.input_dtype, copy=True)
        if _near(found, value, tolerance):
            reading.representation, reading.kind = value, kind
            return
    name = _first_difference(seen, trace(network, kind), tolerance)
    where = f"; the first module that differs is {name!r}" if name else ""
    raise RequestError(
        f"{network.name} gives different representations for the same {network.modality}{where};"
        " remove what is random, keeps state between passes, or depends on the other"
        f" {network.modality}s of a batch"
    )


def tolerance_of(dtype: torch.dtype, *, tf32: bool) -> float:
    """The largest relative difference of two passes over the same inputs in a precision."""
    return _TF32_TOLERANCE if tf32 else _TOLERANCES.get(dtype, _TOLERANCE)


def _near(one: Tensor, two: Tensor, tolerance: float) -> bool:
    if one.shape != two.shape:
        return False
    if not bool(one.isfinite().all() & two.isfinite().all()):
        return bool(((one == two) | (one.isnan() & two.isnan())).all())
    scale = torch.maximum(one.double().norm(), two.double().norm())
    return bool((one.double() - two.double()).norm() <= tolerance * scale)


def _first_difference(one: Trace, two: Trace, tolerance: float) -> str | None:
    """The first module to finish whose outputs differ between two passes over the same inputs."""
    for a, b in zip(one.calls, two.calls, strict=False):
        if a.name != b.name:
            return a.name
        if a.gave is None:
            continue
        if b.gave is None or not _near(a.gave.tensor, b.gave.tensor, tolerance):
            return a.name or type(a.module).__name__
    return None


STEADY_PASSES = 8
"""Number of further passes that tell a drift from additions in another order each time."""


def check_steady(
    represent: Callable[[Tensor], Tensor], network: Network, expected: Tensor, probe: Tensor
) -> None:
    """Check that the representation of the probe stays the same, to the bit, after passes over
    other inputs; `expected` (2, d) is the one from when the layer was found.

    Raises:
        RequestError: the network keeps state between passes, however small, so its scores would
            depend on the number of passes before.
    """
    buffers = {name: buffer.clone() for name, buffer in network.module.named_buffers()}
    first = represent(probe)
    if torch.equal(first, expected):
        return

    def again() -> Tensor:
        represent(1 - probe)
        return represent(probe)

    second = again()
    if torch.equal(second, first):  # other kernels than when it was traced
        return
    for _ in range(STEADY_PASSES):
        last = again()
    now = dict(network.module.named_buffers())
    changed = [n for n, b in buffers.items() if not b.is_meta and not torch.equal(b, now[n])]
    step, drift = ((one - first).double().norm() for one in (second, last))
    if not changed and not bool(drift > STEADY_PASSES / 2 * step):
        return
    what = f" (its buffer {changed[0]} changes)" if changed else ""
    raise RequestError(
        f"{network.name} changes a little in every pass{what}, so an input has no"
        " fixed representation; remove the state that it keeps between passes"
    )


@contextmanager
def differentiable(network: Network) -> Iterator[None]:
    """A context for the first pass that records a gradient, in a network that runs without one.

    Raises:
        RequestError: the network cannot be differentiated, since it overwrites tensors that the
            gradient needs, has hooks that prevent it, or an operation without a derivative.
    """
    try:
        yield
    except (RequestError, RunError):
        raise
    except Exception as error:  # operations and hooks fail in many ways
        if is_out_of_memory(error):
            raise
        raise RequestError(
            f"{network.name} cannot be inverted, as its pass with gradients fails:"
            f" {one_line(error)}; it can be judged by `stir_hf.score` on inversions of another"
            " network"
        ) from error


def check_gradient(network: Network, found: Tensor, probe: Tensor) -> None:
    """Check that a gradient of the representation (2, d) reaches the probe.

    Raises:
        RequestError: no gradient, though the representation is finite and differs between the two
            inputs.
    """
    gradient: Tensor | None = None
    if found.requires_grad:
        generator = torch.Generator().manual_seed(1)
        weights = torch.randn(found.shape, generator=generator, device="cpu").to(found)
        (gradient,) = torch.autograd.grad((found * weights).sum(), probe, allow_unused=True)
    tells_apart = bool(found.isfinite().all()) and not torch.equal(found[0], found[1])
    if gradient is None or (tells_apart and not bool(gradient.any())):
        raise RequestError(
            f"the representation of {network.name} carries no gradient to the inputs, so nothing"
            " can be inverted with it"
        )
