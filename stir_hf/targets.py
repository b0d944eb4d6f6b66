"""Inversion of given representations, without originals."""

import math
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stir_hf import hub
from stir_hf.engine import (
    OBJECTIVES,
    STARTS,
    Given,
    InversionConfig,
    Inverted,
    Item,
    Watch,
    descend,
    start_value,
)
from stir_hf.errors import RequestError, as_count, memory_errors
from stir_hf.inputs.base import Kind
from stir_hf.models import Encoder, Model, as_encoders, opened
from stir_hf.models.load.spec import LayerConfig, LoadConfig
from stir_hf.models.preprocessing import Extent
from stir_hf.options.signatures import keywords
from stir_hf.options.verbs import Options
from stir_hf.runtime import RunConfig, Watcher, progress_bar
from stir_hf.runtime.processes import Counters


@dataclass(frozen=True)
class TargetOptions(Options):
    """The options of `invert_representations`."""

    verb = "invert_representations"
    load: LoadConfig
    run: RunConfig
    layer: LayerConfig
    inversion: InversionConfig


@dataclass(frozen=True)
class InvertedRepresentations:
    """Inputs that were found for some representations, in their order."""

    inputs: NDArray[np.float32]
    """(n, *shape): images (n, c, h, w) within the constraint, by default in [0, 1], or vectors
    (n, d); NaN where values were not finite.
    """
    relative_error: NDArray[np.float32]
    """(n,): ‖f(x') - t‖ / ‖t‖ of these inputs; NaN likewise."""
    converged: NDArray[np.bool_]
    """(n,): True if the error is at or below the tolerance."""


@keywords(TargetOptions)
@hub.one_run()
def invert_representations(
    reference: Model,
    targets: Tensor | NDArray[Any],
    *,
    size: Extent | None = None,
    revision: str | None = None,
    progress: bool | Watcher = True,
    **options: Any,
) -> InvertedRepresentations:
    """Find for each representation an input that the reference represents like it, by the same
    engine as `invert`, in one process.

    A target takes the place of an original's representation, so what needs originals is refused:
    `start="other"`, constraints around them, objectives of further models, and draws. The start of
    row i is drawn from (seed, i). `exact` has no effect: inputs are returned as floats.

    Args:
        reference: as `reference` of `invert`.
        targets: representations (n, d) of the layer; float, finite, none of them zero.
        size: (h, w) of images or (d,) of vectors, for a network without a native size.
        revision: of the reference.
        progress: as in `invert`.

    Raises:
        RequestError: the request is wrong; nothing was done.
        RunError: out of memory.
    """
    asked = TargetOptions.of(options)
    (encoder,) = as_encoders(
        [reference], [asked.layer.layer], asked.load, asked.run, None, {}, revision
    )
    kind = _kind(encoder, size)
    config = _checked(asked.inversion, kind)
    with ExitStack() as stack:
        network = stack.enter_context(opened(encoder, kind, asked.run, inverted=True))
        wanted = _as_targets(targets, network.probe)
        batch = asked.run.batch(math.prod(kind.shape), encoder.device)
        represent = stack.enter_context(network.descending(fake_relu=config.method.straight))
        stack.enter_context(memory_errors(f"in {network.where}"))
        bar = stack.enter_context(progress_bar(len(wanted), 0, Counters(None), progress, main=True))
        bar.describe(f"inverting {encoder.name}")

        def watch(seen: Watch) -> None:
            bar.look(seen.passes, seen.active, seen.error, dict)

        found = []
        items = _items(config, kind, wanted)
        plan = config.plan(kind)
        for result in descend(represent, items, plan, batch_size=batch, watch=watch):
            found.append(result)
            bar.add(1)
    return _gathered(found, kind, config.good_enough.value)


def _kind(encoder: Encoder, size: Extent | None) -> Kind:
    """The kind of the inputs that are to be found."""
    own, vectors = encoder.extent, encoder.preprocessing.modality == "vector"
    words, axes = ("(d,)", 1) if vectors else ("(h, w)", 2)
    if size is None and own is None:
        raise RequestError(f"{encoder.name} takes inputs of any size; give size={words}")
    if size is None:
        size = own
    given = tuple(size) if isinstance(size, list | tuple) else ()
    if len(given) != axes:
        raise RequestError(f"size must be {words} for {encoder.name}, not {size!r}")
    extent = tuple(as_count(f"size={size!r}: each", one) for one in given)
    if own is not None and extent != tuple(own):
        raise RequestError(f"{encoder.name} takes inputs of size {tuple(own)}, not {extent}")
    return encoder.kind(extent)


def _checked(config: InversionConfig, kind: Kind) -> InversionConfig:
    """The options for a kind of input, without those that need originals."""
    config = config.on(kind)
    needs = {
        f"start={STARTS.text(config.start)!r}": config.start.of_data
        or isinstance(config.start, Given),
        "a constraint around the original": config.bound_by.around == "original",
        f"objective={OBJECTIVES.name_of(config.objective)!r}": bool(config.objective.networks),
        f"draws={config.draws}": config.draws > 1,
        f"tolerance={config.tolerance!r}": config.good_enough.of_spread,
    }
    for what, there in needs.items():
        if there:
            raise RequestError(f"{what} needs originals, and there are only representations")
    return config


def _as_targets(targets: Any, probe: Tensor) -> Tensor:
    """Representations (n, d) on the network's device, checked."""
    try:
        found = torch.as_tensor(targets)
    except (TypeError, ValueError, RuntimeError) as error:
        raise RequestError(
            f"targets must be numbers (n, d), not {type(targets).__name__}"
        ) from error
    if found.layout != torch.strided or found.is_complex():
        raise RequestError("targets must be dense and real")
    width = probe.shape[1]
    if found.ndim != 2 or not len(found) or found.shape[1] != width:
        raise RequestError(
            f"targets must have shape (n, {width}), as the layer has, not {tuple(found.shape)}"
        )
    found = found.detach().to(probe)
    good = found.isfinite().all(1) & found.any(1)
    if not bool(good.all()):
        bad = (~good).nonzero()[:, 0].tolist()
        raise RequestError(f"targets must be finite and not zero; row {bad[0]} is not")
    return found


def _items(config: InversionConfig, kind: Kind, targets: Tensor) -> Iterator[Item]:
    for i, target in enumerate(targets):

        def start(again: int = 0, index: int = i, like: Tensor = target) -> Tensor:
            how: Any = {"seed": config.seed, "index": index, "draw": 0, "again": again}
            return start_value(config.start, kind.shape, **how).to(like)

        yield Item((i, 0), start(), target, again=start)


def _gathered(found: list[Inverted], kind: Kind, tolerance: float) -> InvertedRepresentations:
    inputs = np.full((len(found), *kind.shape), np.nan, np.float32)
    errors = np.full(len(found), np.nan, np.float32)
    for result in found:
        if result.finite:
            row = result.key[0]
            inputs[row], errors[row] = result.value.float().cpu().numpy(), result.error
    return InvertedRepresentations(inputs, errors, errors <= tolerance)
