"""A loaded network: its module, its preprocessing, and the call of its forward pass."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from stir_hf.errors import RequestError, RunError, memory_errors, one_line
from stir_hf.inputs.base import Kind
from stir_hf.inputs.images import MODES, ImageKind
from stir_hf.models.images.families import ORDINARY, Family
from stir_hf.models.load.identity import quantised_weights
from stir_hf.models.preprocessing import Arithmetic, Extent, Preprocessing
from stir_hf.models.run.calling import PIXELS, Arguments, runs_own_code, with_fields
from stir_hf.runtime import SPREAD, execution_device, is_spread, pick_device

Context = Mapping[str, Tensor]
"""Tensors (b, …) that are passed together with the inputs, by keyword."""

_SHAPES = re.compile(
    r"\b(sizes?|shapes?|channels?|dim(ension)?s?|[1-5]-?D|scalar types?)\b", re.IGNORECASE
)

_DEVICES = re.compile(r"\b(devices?|meta)\b", re.IGNORECASE)


@dataclass(eq=False)
class Network:
    """An `nn.Module` with its preprocessing, as it was loaded or given."""

    module: nn.Module
    preprocessing: Preprocessing
    name: str
    """The name in messages and results."""
    commit: str | None = None
    """The commit of a checkpoint on the Hub."""
    transformers: bool = True
    """True for a model of `transformers`, called by keyword; otherwise an `nn.Module`."""
    in_memory: bool = False
    """True if it was passed as an object, so that the origin of its weights is unknown."""
    plain: bool = False
    """True without a processor: inputs of any kind are passed unchanged."""
    missing: frozenset[str] = frozenset()
    """Parameters missing from the checkpoint (randomly initialised)."""
    family: Family = ORDINARY
    notes: tuple[str, ...] = ()
    """Notes of a result on how it was loaded."""
    quantised: str | None = None
    """The quantisation method of its weights; None if they are not quantised."""
    weights: str | None = None
    """For a quantised network, the hash of its weights from before its first pass."""
    whole: "Network | None" = None
    """The whole model in memory, with the other modules, if this is its part before the head."""
    arguments: Arguments | None = None
    """The arguments of its forward, once they are known."""

    def __post_init__(self) -> None:
        if self.quantised is not None and self.weights is None:
            self.weights = quantised_weights(self.module, self.module.config)

    def holding(self, layer: str) -> "Network":
        """Return the network with a layer: this one, or the whole model if only that has it."""
        if self.whole is None:
            return self
        mine, others = (
            {name for name, _ in module.named_modules()}
            for module in (self.module, self.whole.module)
        )
        only_there = layer in others - mine - {"penultimate", "output"} or layer == "logits"
        return replace(self.whole, name=self.name) if only_there else self

    @property
    def is_spread(self) -> bool:
        """Return whether its weights are on several devices, or loaded on use."""
        return is_spread(self.module)

    @property
    def has_quantised_parts(self) -> bool:
        """Return whether it was quantised, or has modules that compute with quantised numbers."""
        theirs = ("torch.ao.nn.quantized", "torch.ao.nn.intrinsic.quantized")
        kinds = (type(module).__module__ for module in self.module.modules())
        return self.quantised is not None or any(kind.startswith(theirs) for kind in kinds)

    @property
    def device(self) -> torch.device:
        """The device of the network's weights, or of its first computation if they are spread."""
        if (first := execution_device(self.module)) is not None:
            return first
        tensors = chain(self.module.parameters(), self.module.buffers())
        return next((t.device for t in tensors), torch.device("cpu"))

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the network's weights."""
        parameters = self.module.parameters()
        return next((p.dtype for p in parameters if p.is_floating_point()), torch.float32)

    @property
    def input_dtype(self) -> torch.dtype:
        """Precision of inputs and representations: float64 for a float64 network, else float32."""
        return torch.float64 if self.dtype == torch.float64 else torch.float32

    @property
    def modality(self) -> str:
        """The name of the kind of input, for messages."""
        return self.preprocessing.modality

    @property
    def main_input(self) -> str:
        """The name of the argument that takes the inputs, in a model of `transformers`."""
        if self.modality == ImageKind.name:
            return PIXELS
        return str(getattr(self.module, "main_input_name", "inputs"))

    def kind(self, extent: Extent) -> Kind:
        """The kind of its own inputs, at the native extent or, if it has none, at `extent`."""
        return self.preprocessing.kind(self.preprocessing.extent or extent)

    def probe(self, kind: Kind) -> Tensor:
        """Two fixed noise inputs (2, *shape), on its device: uniform in the bounds, or N(0, 1)."""
        generator = torch.Generator().manual_seed(0)
        draw: Any = torch.randn if kind.bounds is None else torch.rand
        shape = (2, *kind.shape)
        noise: Tensor = draw(shape, generator=generator, dtype=torch.float32, device="cpu")
        return noise.to(self.device, self.input_dtype)

    def arithmetic(self) -> Arithmetic | None:
        """The arithmetic of the preprocessing, on the network's device; None if there is none."""
        like = torch.empty(0, device=self.device, dtype=self.input_dtype)
        return self.preprocessing.arithmetic(like)

    def feed(self, inputs: Tensor, context: Context, *, hidden_states: bool) -> Any:
        """Run one forward pass with the context as keywords, and return its result; the result of a
        user's own class gets fields like those of `transformers`.
        """
        if not self.transformers:
            return self.module(inputs, **context)
        if self.arguments is None:
            self.arguments = Arguments.of(self.module, self.main_input)
        options = {"output_hidden_states": hidden_states, "return_dict": True}
        more = {**self.family.inputs(self.module, inputs), **context}
        given, named = self.arguments.given(inputs, {**options, **more})
        result = self.module(*given, **named)
        if not runs_own_code(self.module):
            return result
        config = getattr(self.module, "config", None)
        return with_fields(result, getattr(config, "num_labels", None))

    def feed_first(self, inputs: Tensor) -> Any:
        """Run one forward pass with hidden states, and learn from errors which arguments the
        network does not take; later passes leave them out.
        """
        while True:
            try:
                return self.feed(inputs, {}, hidden_states=True)
            except Exception as error:  # a user's own code refuses arguments in many ways
                refused = isinstance(error, TypeError) or runs_own_code(self.module)
                found = self.arguments.without(error) if refused and self.arguments else None
                if found is None:
                    raise
                self.arguments = found

    def check_as_it_is(self, device: str | None, dtype: str | None, channels: int | None) -> None:
        """Check that a request agrees with a network in memory, which is never changed.

        Raises:
            RequestError: another device, precision or number of channels than the network has.
        """
        if device not in (None, SPREAD):
            asked, has = pick_device(device), self.device
            if asked.type != has.type or asked.index not in (None, has.index):
                raise RequestError(
                    f"{self.name} is on {has}, not {device}; a network in memory stays where it is"
                )
        precision = str(self.dtype).removeprefix("torch.")
        if dtype is not None and dtype != precision:
            raise RequestError(
                f"{self.name} is in {precision}, not {dtype}; a network in memory stays as it is"
            )
        self.check_channels(channels)

    def check_channels(self, channels: int | None) -> None:
        """Raise RequestError if images of another number of channels are requested."""
        has: Any = getattr(self.preprocessing, "channels", channels)
        if channels is not None and channels != has:
            raise RequestError(f"{self.name} takes {MODES[has]} images, not {MODES[channels]!r}")

    def check_takes(self, values: Tensor) -> None:
        """Raise RequestError for a batch of another shape than it takes."""
        if (expected := self.preprocessing.expected(values)) is not None:
            raise RequestError(f"{self.name} takes {expected}, not {tuple(values.shape)}")

    def check_there(self) -> None:
        """Raise RequestError if weights have no values: lazy, or on the meta device for good."""
        for name, value in (*self.module.named_parameters(), *self.module.named_buffers()):
            if nn.parameter.is_lazy(value):
                raise RequestError(
                    f"{self.name} is lazy: {name} has no shape yet; run it once on some images"
                )
            if value.is_meta and not self.is_spread:
                raise RequestError(
                    f"{self.name} has no weights: {name} is on the meta device; load them, as"
                    " from_pretrained does"
                )

    def check_batchnorm(self) -> None:
        """Raise RequestError if the network normalises by the statistics of the batch."""
        for name, module in self.module.named_modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is None:
                raise RequestError(
                    f"{self.name} normalises by the statistics of the batch ({name}), so an"
                    " input has no fixed representation; give it running statistics"
                )

    @contextmanager
    def taking(self, kind: Kind) -> Iterator[None]:
        """A context for forward passes with a kind of input. An error of the network that means
        that it does not take such inputs is raised as RequestError.

        Raises:
            RequestError: the network does not take such inputs, or is quantised and does not run
                here.
            RunError: out of memory.
        """
        inputs = f"{kind.name}s of shape {'x'.join(map(str, kind.shape))}"
        try:
            with memory_errors(f"in a forward pass of {self.name} on {inputs}"):
                yield
        except (RequestError, RunError):
            raise
        except Exception as error:  # networks fail in many ways
            if self.quantised is not None:
                raise RequestError(
                    f"model {self.name} is quantised ({self.quantised}) and does not run here:"
                    f" {one_line(error)}"
                ) from error
            if not isinstance(error, ValueError | RuntimeError | AssertionError):
                raise
            if self.is_spread and _DEVICES.search(str(error)):
                raise RequestError(
                    f"model {self.name} cannot be spread over several devices, as it reads weights"
                    f" of its submodules directly ({one_line(error)}); choose one: --device cpu"
                ) from error
            kinds = {str(p.dtype) for p in self.module.parameters() if p.is_floating_point()}
            if len(kinds) > 1:
                shown = " and ".join(sorted(kind.removeprefix("torch.") for kind in kinds))
                raise RequestError(
                    f"model {self.name} has weights in {shown} and does not run: {one_line(error)};"
                    " give it in one precision: model.float()"
                ) from error
            if not isinstance(error, ValueError) and not _SHAPES.search(str(error)):
                raise
            raise RequestError(
                f"model {self.name} does not run on {inputs}: {one_line(error)}"
            ) from error
