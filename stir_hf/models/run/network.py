"""A network with the processor of its images: what a tensor of images becomes before it is fed,
and how it is fed.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from stir_hf.errors import RequestError, RunError, memory_errors, one_line
from stir_hf.inputs.images import MODES, AppliedMap, resize
from stir_hf.models.images.families import ORDINARY, Family
from stir_hf.models.images.processors import Pixels
from stir_hf.models.load.identity import quantised_weights
from stir_hf.models.run.calling import Arguments, runs_own_code, with_fields
from stir_hf.runtime import SPREAD, execution_device, is_spread, pick_device

LEAST_BATCH = 4
"""Smaller batches are filled up: convolution libraries treat them by other code, which rounds
differently, and an inversion would depend on how many images were left at its end."""

_SHAPES = re.compile(
    r"\b(sizes?|shapes?|channels?|dim(ension)?s?|[1-5]-?D|scalar types?)\b", re.IGNORECASE
)

_DEVICES = re.compile(r"\b(devices?|meta)\b", re.IGNORECASE)


@dataclass(eq=False)
class Network:
    """An `nn.Module` over images, with the pixel arithmetic that comes before it."""

    module: nn.Module
    pixels: Pixels
    name: str
    """What it is called in messages and results."""
    transformers: bool = True
    """A model of `transformers`, fed by keyword; otherwise an `nn.Module` over one tensor."""
    in_memory: bool = False
    """Given as an object: nothing is known of where its weights came from."""
    missing: frozenset[str] = frozenset()
    """Weights that the class has and the checkpoint lacks."""
    family: Family = ORDINARY
    notes: tuple[str, ...] = ()
    """What a result says of how it was read."""
    quantised: str | None = None
    """The method by which its weights were quantised, if they were."""
    weights: str | None = None
    """Of a quantised network, the hash of its weights from before its first pass."""
    whole: "Network | None" = None
    """The model in memory that this is the part before the head of, by whose own names its other
    modules are read.
    """
    arguments: Arguments | None = None
    """The arguments of its forward, as they were found."""

    def __post_init__(self) -> None:
        if self.quantised is not None and self.weights is None:
            self.weights = quantised_weights(self.module, self.module.config)

    def holding(self, layer: str) -> "Network":
        """Where a layer, by its name alone, is read: in the whole model where it is one of that
        and none of this part.
        """
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
        """Whether its weights are on several devices, or brought from memory or disk."""
        return is_spread(self.module)

    @property
    def has_quantised_parts(self) -> bool:
        """True where it was quantised, or has modules that compute with quantised numbers."""
        theirs = ("torch.ao.nn.quantized", "torch.ao.nn.intrinsic.quantized")
        kinds = (type(module).__module__ for module in self.module.modules())
        return self.quantised is not None or any(kind.startswith(theirs) for kind in kinds)

    @property
    def device(self) -> torch.device:
        """Where the network's weights are; where the first of them compute, if they are spread."""
        if (first := execution_device(self.module)) is not None:
            return first
        tensors = (*self.module.parameters(), *self.module.buffers())
        return next((t.device for t in tensors), torch.device("cpu"))

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the network's weights."""
        parameters = self.module.parameters()
        return next((p.dtype for p in parameters if p.is_floating_point()), torch.float32)

    @property
    def image_dtype(self) -> torch.dtype:
        """Precision of images and representations: float64 for a float64 network, otherwise
        float32.
        """
        return torch.float64 if self.dtype == torch.float64 else torch.float32

    def probe(self, size: tuple[int, int]) -> Tensor:
        """Two images of noise, (2, c, h, w), always the same, where the network is."""
        generator = torch.Generator().manual_seed(0)
        shape = (2, self.pixels.channels, *size)
        images = torch.rand(shape, generator=generator, dtype=torch.float32, device="cpu")
        return images.to(self.device, self.image_dtype)

    def arithmetic(self) -> AppliedMap | None:
        """The pixel arithmetic where the network is; None where there is none."""
        if self.pixels.map.is_identity:
            return None
        like = torch.empty(0, device=self.device, dtype=self.image_dtype)
        return self.pixels.map.on(like).applied()

    def feed(self, inputs: Tensor, *, hidden_states: bool) -> Any:
        """One forward pass; the network's result, with fields where its class is not one of
        `transformers`.
        """
        if not self.transformers:
            return self.module(inputs)
        if self.arguments is None:
            self.arguments = Arguments.of(self.module)
        options = {"output_hidden_states": hidden_states, "return_dict": True}
        more = self.family.inputs(self.module, inputs)
        images, named = self.arguments.given(inputs, {**options, **more})
        result = self.module(*images, **named)
        if not runs_own_code(self.module):
            return result
        config = getattr(self.module, "config", None)
        return with_fields(result, getattr(config, "num_labels", None))

    def feed_first(self, inputs: Tensor) -> Any:
        """One forward pass with hidden states, by which is found what the network takes beside
        images: what it does not take is left out from then on.
        """
        while True:
            try:
                return self.feed(inputs, hidden_states=True)
            except Exception as error:  # code of a user's own refuses arguments in many ways
                refused = isinstance(error, TypeError) or runs_own_code(self.module)
                found = self.arguments.without(error) if refused and self.arguments else None
                if found is None:
                    raise
                self.arguments = found

    def check_as_it_is(self, device: str | None, dtype: str | None, channels: int | None) -> None:
        """Refuse what is asked of a network in memory and is not so: it is taken as it is.

        Raises:
            RequestError: another device, precision or number of channels than it has.
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
        self.check_mode(channels)

    def check_mode(self, channels: int | None) -> None:
        """Raise RequestError where images of another number of channels than the network's are
        asked for.
        """
        if channels is not None and channels != self.pixels.channels:
            has = MODES[self.pixels.channels]
            asked = MODES.get(channels, f"{channels} channels")
            raise RequestError(f"{self.name} takes {has} images, not {asked!r}")

    def check_there(self) -> None:
        """Raise RequestError where weights have no values: those of a lazy module, or on the meta
        device and not brought from elsewhere.
        """
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
        """Raise RequestError where the network normalises by the statistics of the batch."""
        for name, module in self.module.named_modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is None:
                raise RequestError(
                    f"{self.name} normalises by the statistics of the batch ({name}), so an image"
                    " has no representation of its own; give it running statistics"
                )

    @contextmanager
    def taking(self, size: tuple[int, int]) -> Iterator[None]:
        """Around forward passes of images of a size: tell which errors mean that the network does
        not take them.

        Raises:
            RequestError: it does not take such images, or is quantised and does not run here.
            RunError: there is too little memory.
        """
        shape = "x".join(map(str, (self.pixels.channels, *size)))
        try:
            with memory_errors(f"in a forward pass of {self.name} on images of shape {shape}"):
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
                    f" of its parts by itself ({one_line(error)}); choose one: --device cpu"
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
                f"model {self.name} does not run on images of shape {shape}: {one_line(error)}"
            ) from error


def prepare_images(
    images: Tensor,
    size: tuple[int, int] | None,
    arithmetic: AppliedMap | None,
    dtype: torch.dtype,
) -> Tensor:
    """Images (b, c, h, w) in [0, 1] to what the network is fed: at least 4 rows, a tensor of its
    own.
    """
    rows = fill(images)
    inputs = resize(rows, size).contiguous()  # pixels of a PNG have their channels last
    inputs = (inputs if arithmetic is None else arithmetic(inputs)).to(dtype)
    return inputs.clone() if inputs is images else inputs  # the network may work in place


def fill(images: Tensor) -> Tensor:
    """Images with copies of the first, or zeros where there is none, after them, which carry no
    gradient.
    """
    count, shape = images.shape[0], images.shape[1:]
    if count >= LEAST_BATCH:
        return images
    more = images.detach()[:1] if count else images.new_zeros(1, *shape)
    return torch.cat((images, more.expand(LEAST_BATCH - count, *shape)))
