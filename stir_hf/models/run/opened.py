"""An encoder with an open session, plus its probe representation and identity."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from stir_hf.errors import ONE_AT_A_TIME, RequestError, RunError, is_out_of_memory, memory_errors
from stir_hf.inputs.base import Kind
from stir_hf.models.encoder import Encoder
from stir_hf.models.network import Context
from stir_hf.models.preprocessing import LEAST_BATCH, extent_of
from stir_hf.models.read.checks import tolerance_of
from stir_hf.models.run.compiling import check_compiler
from stir_hf.models.run.dividing import Pass, divided
from stir_hf.models.run.folding import folded
from stir_hf.models.run.relus import FakeReLU, last_relu
from stir_hf.models.run.session import Session
from stir_hf.runtime import RunConfig, release_memory, workers

FEW, LOOKED_AT = 4, 64
"""Number of distinct samples that must not be represented alike, and of those searched for them."""

AGAIN = 16
"""Number of rows of a batch that are represented again in smaller batches."""
SLACK = 10
"""Factor by which batches of other sizes, in other kernels, may differ more than equal batches."""

QUANTISED = 0.25
"""Largest change of a row, relative to the spread, if activations are scaled by the whole batch."""

ROUNDING = 1e-2
"""Lower bound on the spread in a relative change, as a share of the length of representations."""


@dataclass(frozen=True)
class Opened:
    """An encoder with an open session."""

    encoder: Encoder
    session: Session
    probe: Tensor
    """(2, d): the representation of the fixed probe."""
    label: str
    """The name in results."""
    kind: Kind
    """The kind of the canvas on which it was tried."""
    identity: dict[str, Any]
    """Weights, tap, precision and preprocessing by content."""
    autocast: bool = False
    """Invert in bfloat16 autocast."""
    compiles: bool = False
    """Compile the passes of inversions."""

    @property
    def where(self) -> str:
        """The network and its layer, in messages."""
        return f"{self.encoder.name}, layer {self.encoder.layer}"

    @property
    def notes(self) -> list[str]:
        """Notes of a result for a network that gets originals through its own processor."""
        return [f"{self.label}: {note}" for note in self.encoder.notes]

    @property
    def network_notes(self) -> list[str]:
        """Notes of a result for a network that gets inputs on another network's canvas."""
        return [f"{self.label}: {note}" for note in self.encoder.network_notes]

    def represent(self, values: Tensor, context: Context | None = None) -> Tensor:
        """Representations (b, d) of values (b, *shape) and their context, without gradients; the
        batch is halved while the device is out of memory.

        Raises:
            RunError: out of memory with a single input.
        """
        with torch.no_grad(), memory_errors(f"in {self.where}", ONE_AT_A_TIME):
            return _in_halves(self.session, values, context or {})

    def class_kept(
        self, originals: Tensor, inverted: Tensor, context: Context | None = None
    ) -> list[bool] | None:
        """Return whether the network's class, that of its largest logit, is the same for each of
        originals and inversions (b, *shape); None if it has no logits of classes. Takes two passes.

        Raises:
            RunError: out of memory.
        """
        if (head := self._head) is None:
            return None
        with torch.no_grad():
            before, after = (head(x, context).argmax(1) for x in (originals, inverted))
        kept: list[bool] = (before == after).tolist()
        return kept

    @cached_property
    def _head(self) -> Encoder | None:
        """The same network read at its logits; None if they are not those of a classifier."""
        try:
            head = self.encoder.at("logits")
            head.find_layer(extent_of(self.encoder.own(self.kind)))
        except RequestError:
            return None
        shapes = [layer.shape for layer in head.layers if layer.name == "logits"]
        classifies = [shape[:-1] in ((), (1,)) and shape[-1] > 1 for shape in shapes]
        return head if any(classifies) else None

    def check_alone(self, values: Tensor, found: Tensor, context: Context | None = None) -> None:
        """Check that the representations (b, d) of a batch (b, *shape) do not depend on its other
        rows, by representing some rows again, a few at a time.

        Raises:
            RequestError: a row has another representation in a smaller batch.
        """
        count = min(len(values), AGAIN)
        if count <= LEAST_BATCH:
            return
        rows = torch.linspace(0, len(values) - 1, count, device="cpu").long()
        parts = [
            self.represent(values[some], _of(context, some))
            for some in torch.split(rows, LEAST_BATCH)
        ]
        alone, beside = torch.cat(parts).double(), found[rows.to(found.device)].double()
        alone = alone.to(beside.device)
        change = _change(alone, beside)
        allowed = SLACK * tolerance_of(self.encoder.dtype, tf32=self.session.tf32)
        if self.encoder.network.has_quantised_parts:
            allowed = max(allowed, QUANTISED)
        if not change <= allowed:
            raise RequestError(
                f"{self.where}: one {self.kind.name} has another representation in a batch of"
                f" {len(values)} than in one of {LEAST_BATCH} (by {change:.2%}); does the network"
                f" use the other {self.kind.name}s of a batch, or keep state between passes?"
            )

    def check_fake_relu(self) -> None:
        """Check, in one pass over the probe, that a ReLU comes before the layer, so that
        `descending(fake_relu=True)` exists.

        Raises:
            RequestError: there is none (ReLU6 and other activations do not count), or passes are
                compiled, where ReLUs cannot be seen.
        """
        self._last_relu(self.session)

    @contextmanager
    def descending(self, *, fake_relu: bool = False) -> Iterator[Pass]:
        """A context with the network for inversion: with batch normalisations folded into
        convolutions where possible, in autocast or compiled if requested, and otherwise with the
        rows of a batch divided among `workers` threads.

        Args:
            fake_relu: let the gradient pass the last ReLU before the layer as if it were the
                identity; values stay the same, bit for bit. Such passes are not divided.

        Raises:
            RequestError: as `check_fake_relu`.
        """
        kind = self.session.reading.kind
        with ExitStack() as stack:
            session = stack.enter_context(self._quick(kind))
            if fake_relu:
                yield FakeReLU(session, self._last_relu(session))
            elif self.compiles:
                yield session
            else:
                yield stack.enter_context(divided(session, kind, self.workers))

    @contextmanager
    def _quick(self, kind: Kind) -> Iterator[Session]:
        quick = folded(self.session, kind)
        if quick is None and not (self.autocast or self.compiles):
            yield self.session
            return
        with Session(
            quick or self.session.network,
            self.session.reading,
            tf32=self.session.tf32,
            autocast=self.autocast,
            compiles=self.compiles,
        ) as session:
            yield session

    @property
    def workers(self) -> int:
        """The number of threads among which the rows of a batch are divided."""
        return workers(math.prod(self.kind.shape), self.encoder.device)

    def _last_relu(self, session: Session) -> int:
        if self.compiles:
            raise RequestError("fake_relu=true does not go with compile=True; use one of them")
        if (found := last_relu(session)) is None:
            raise RequestError(
                "fake_relu=true needs a ReLU before the layer that is read (ReLU6 and others are"
                f" none), and {self.where} has none; use paper without it"
            )
        return found

    def check_varies(self, differing: Callable[[int], tuple[Tensor, Context]]) -> None:
        """Check a few distinct samples, so that representations that are constant or never finite
        are reported before any work. `differing` gives at most as many as asked for, with their
        context.

        Raises:
            RunError: representations that are all not finite, all zeros, or all equal.
        """
        try:
            self._check_varies(*differing(FEW))
        except RunError:
            self._check_varies(*differing(LOOKED_AT))

    def _check_varies(self, values: Tensor, context: Context) -> None:
        found = self.represent(values, context)
        first = f"the representations of the first {self.kind.name}s"
        good = found[found.isfinite().all(1)]
        if not len(good):
            raise RunError(f"{self.where}: {first} are not finite")
        if not bool(good.any()):
            raise RunError(f"{self.where}: {first} are all zeros")
        if len(good) > 1 and bool((good == good[0]).all()):
            raise RunError(
                f"{self.where}: a constant representation, the same for every {self.kind.name}"
            )


def _change(alone: Tensor, beside: Tensor) -> float:
    """The relative change of finite representations (n, d) in float64: relative to their spread, or
    to a share of their length if their mean is very long; infinite if other rows are finite.
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


def _of(context: Context | None, rows: Tensor) -> Context:
    return {name: tensor[rows] for name, tensor in (context or {}).items()}


def _in_halves(session: Session, values: Tensor, context: Context) -> Tensor:
    try:
        return session(values, context)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error) or len(values) == 1:
            raise
    release_memory()
    halves = torch.arange(len(values), device="cpu").tensor_split(2)
    parts = [_in_halves(session, values[half], _of(context, half)) for half in halves]
    return torch.cat(parts)


@contextmanager
def opened(encoder: Encoder, kind: Kind, run: RunConfig, *, inverted: bool) -> Iterator[Opened]:
    """Open an encoder's session and try it on the fixed probe: on the canvas `kind`, unless the
    network has a native size, and with gradients to the inputs if it is to be inverted.

    Raises:
        RequestError: the network does not run on such inputs, is random in eval mode, or cannot be
            inverted; or no compiler where passes are to be compiled.
    """
    if inverted:
        encoder.check_invertible(autocast=run.autocast)
        if run.compile:
            check_compiler(encoder.device)
    own = encoder.own(kind)
    encoder.find_layer(extent_of(own))
    with encoder.session(tf32=run.tf32) as session:
        probe = session.check(own, gradient=inverted)
        identity = encoder.identity()
        label = encoder.label_of(identity)
        yield Opened(encoder, session, probe, label, kind, identity, run.autocast, run.compile)


def try_kinds(networks: Sequence[Opened], kinds: Sequence[Kind]) -> None:
    """Try networks without a native size on further canvases; others resize to their own size.

    Raises:
        RequestError: a network does not run on inputs of a kind.
    """
    for network in networks:
        tried = {network.kind}
        for kind in kinds:
            if network.encoder.extent is None and kind not in tried:
                network.session.check(kind, gradient=False)
                tried.add(kind)
