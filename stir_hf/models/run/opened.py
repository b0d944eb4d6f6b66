"""An encoder at work: its session open, tried on the probe, and what it is."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from stir_hf.errors import (
    ONE_AT_A_TIME,
    RequestError,
    RunError,
    is_out_of_memory,
    memory_errors,
)
from stir_hf.inputs.images import MODES
from stir_hf.models.load.loading import load_encoder
from stir_hf.models.load.spec import LoadConfig
from stir_hf.models.read.probing import tolerance_of
from stir_hf.models.run.encoder import Encoder
from stir_hf.models.run.folding import folded
from stir_hf.models.run.network import LEAST_BATCH
from stir_hf.models.run.session import Session
from stir_hf.runtime import RunConfig, release_memory

FEW, LOOKED_AT = 4, 64
"""Number of samples that differ which tell whether a representation is constant, and of the first
ones among which they are looked for.
"""

AGAIN = 16
"""Number of rows of a batch that are represented again beside fewer others."""
SLACK = 10
"""Batches of other sizes may differ by so many times as much as passes over the same batch: other
kernels compute them.
"""

QUANTISED = 0.25
"""Largest change of a row, over the spread, by the scale of quantised activations, which may be
that of a whole batch.
"""

ROUNDING = 1e-2
"""A spread below this share of the length of representations does not count as that: a change is
taken over at least so much."""

Model: TypeAlias = str | Path | nn.Module | Encoder
"""What a model can be given as."""


@dataclass(frozen=True)
class Opened:
    """An encoder whose session is open."""

    encoder: Encoder
    session: Session
    probe: Tensor
    """(2, d): its representation of the fixed probe."""
    label: str
    """What results call it."""
    size: tuple[int, int]
    """The canvas (h, w) on which it was tried."""
    identity: dict[str, Any]
    """What it is, its layer included: weights, tap, precision, processor, pixel arithmetic."""
    autocast: bool = False
    """Whether it is inverted in bfloat16 autocast."""

    @property
    def where(self) -> str:
        """What messages call it and its layer."""
        return f"{self.encoder.name}, layer {self.encoder.layer}"

    @property
    def notes(self) -> list[str]:
        """What a result says of how it was read, where images go through its own processor."""
        return [f"{self.label}: {note}" for note in self.encoder.notes]

    @property
    def network_notes(self) -> list[str]:
        """The same, where images are on another network's canvas."""
        return [f"{self.label}: {note}" for note in self.encoder.network_notes]

    def represent(self, values: Tensor) -> Tensor:
        """Representations (b, d) of values (b, *shape), without gradients; in halves where the
        device's memory is too small for all at once.

        Raises:
            RunError: out of memory with a single input.
        """
        with torch.no_grad(), memory_errors(f"in {self.where}", ONE_AT_A_TIME):
            return _in_halves(self.session, values)

    def check_alone(self, values: Tensor, found: Tensor) -> None:
        """Represent some rows of a batch again, a few at a time, and compare.

        Args:
            values: (b, *shape): the batch.
            found: (b, d): its representations.

        Raises:
            RequestError: a row has another representation beside fewer others.
        """
        count = min(len(values), AGAIN)
        if count <= LEAST_BATCH:
            return
        rows = torch.linspace(0, len(values) - 1, count, device="cpu").long()
        parts = [self.represent(values[some]) for some in torch.split(rows, LEAST_BATCH)]
        alone, beside = torch.cat(parts).double(), found[rows.to(found.device)].double()
        alone = alone.to(beside.device)
        change = _change(alone, beside)
        allowed = SLACK * tolerance_of(self.encoder.dtype, tf32=self.session.tf32)
        if self.encoder.network.has_quantised_parts:
            allowed = max(allowed, QUANTISED)
        if not change <= allowed:
            raise RequestError(
                f"{self.where}: an image has another representation in a batch of {len(values)}"
                f" than in one of {LEAST_BATCH} (by {change:.2%}), so it has none of its own; does"
                " the network look at the other images of a batch, or keep what it saw?"
            )

    @contextmanager
    def descending(self) -> Iterator[Session]:
        """What is inverted: the same network, with its batch normalisations folded into its
        convolutions where that may be done, in autocast where that was asked for.
        """
        quick = folded(self.session, self.size)
        if quick is None and not self.autocast:
            yield self.session
            return
        network, tf32 = quick or self.session.network, self.session.tf32
        with Session(network, self.session.reading, tf32=tf32, autocast=self.autocast) as session:
            yield session

    def check_varies(self, differing: Callable[[int], Tensor]) -> None:
        """Look at samples that differ: what is constant or never finite is known before any work.

        Args:
            differing: up to so many of the first samples, (b, *shape). A few tell, unless they are
                represented alike.

        Raises:
            RunError: representations that are all not finite, all zeros, or all the same.
        """
        try:
            self._check_varies(differing(FEW))
        except RunError:
            self._check_varies(differing(LOOKED_AT))

    def _check_varies(self, values: Tensor) -> None:
        found = self.represent(values)
        good = found[found.isfinite().all(1)]
        if not len(good):
            raise RunError(f"{self.where}: the representations of the first images are not finite")
        if not bool(good.any()):
            raise RunError(f"{self.where}: the representations of the first images are all zeros")
        if len(good) > 1 and bool((good == good[0]).all()):
            raise RunError(f"{self.where}: a constant representation, the same for every image")


def _change(alone: Tensor, beside: Tensor) -> float:
    """The relative change of representations (n, d), float64, where they are finite: over their
    spread, or over a share of their length where their mean is very long; infinite where other
    rows are finite.
    """
    good, also = alone.isfinite().all(1), beside.isfinite().all(1)
    if not torch.equal(good, also):
        return math.inf
    alone, beside = alone[good], beside[good]
    size = beside.norm()
    if not len(beside) or not bool(size):
        return 0.0 if torch.equal(alone, beside) else math.inf
    rounding = ROUNDING * size
    spread = torch.maximum((beside - beside.mean(0)).norm(), rounding)
    return float((alone - beside).norm() / spread)


def _in_halves(session: Session, values: Tensor) -> Tensor:
    try:
        return session(values)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error) or len(values) == 1:
            raise
    release_memory()
    middle = len(values) // 2
    return torch.cat([_in_halves(session, part) for part in (values[:middle], values[middle:])])


@contextmanager
def opened(
    encoder: Encoder, size: tuple[int, int], run: RunConfig, *, inverted: bool
) -> Iterator[Opened]:
    """Open an encoder's session and try it on the fixed probe.

    Args:
        encoder: the network.
        size: the canvas on which it is tried.
        run: its precision.
        inverted: whether gradients must reach the pixels.

    Raises:
        RequestError: it does not run on such a canvas, is random in eval mode, or cannot be
            inverted.
    """
    if inverted:
        encoder.check_invertible(autocast=run.autocast)
    encoder.prepare(size)
    with encoder.session(tf32=run.tf32) as session:
        probe = session.check(size, gradient=inverted)
        identity = encoder.identity()
        label = encoder.label_of(identity)
        yield Opened(encoder, session, probe, label, size, identity, run.autocast)


def try_sizes(networks: Sequence[Opened], sizes: Sequence[tuple[int, int]]) -> None:
    """Try networks that take images as they are on further canvases; others resize to their own.

    Raises:
        RequestError: a network does not run on images of a size.
    """
    for network in networks:
        tried = {network.size}
        for size in sizes:
            if network.encoder.size is None and size not in tried:
                network.session.check(size, gradient=False)
                tried.add(size)


def as_encoders(
    models: Sequence[Model],
    layers: Sequence[str | None],
    load: LoadConfig,
    run: RunConfig,
    image_mode: str | None,
    labels: Mapping[str, str],
    revision: str | None = None,
) -> list[Encoder]:
    """Models in any of their forms as encoders, told apart by their names.

    Raises:
        RequestError: whatever `load_encoder` refuses; models that take images of different modes.
    """
    channels = next((n for n, mode in MODES.items() if mode == image_mode), None)
    encoders = [
        load_encoder(
            model,
            layer,
            trust_remote_code=load.trust_remote_code,
            device=run.device,
            dtype=run.dtype,
            channels=channels,
            revision=revision,
            name=_called(model, labels, first=i == 0),
        )
        for i, (model, layer) in enumerate(zip(models, layers, strict=True))
    ]
    if len({e.channels for e in encoders}) > 1:
        shown = ", ".join(f"{e.name} takes {MODES[e.channels]}" for e in encoders)
        raise RequestError(f"the models take images of different modes: {shown}")
    names = [e.name for e in encoders]
    return [
        e.named(f"{e.name}-{1 + names[:i].count(e.name)}")
        if names.count(e.name) > 1 and e.network.in_memory and encoders.index(e) == i
        else e
        for i, e in enumerate(encoders)
    ]


def _called(model: Model, labels: Mapping[str, str], *, first: bool) -> str | None:
    name = labels.get(str(model)) if isinstance(model, str | Path) else None
    return labels.get("") if first and name is None else name
