"""A network as a frozen, differentiable map from inputs to the representations of a layer."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from threading import get_ident
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stir_hf.errors import RequestError
from stir_hf.inputs.base import Kind
from stir_hf.models.load.canvas import plain_preprocessing
from stir_hf.models.load.configuration import entries
from stir_hf.models.load.identity import hash_of_weights, short_hash
from stir_hf.models.network import Context, Network
from stir_hf.models.preprocessing import Extent, Preprocessing, extent_of, rounding_notes
from stir_hf.models.read.probing import Reading, read_probe
from stir_hf.models.read.taps import Layer, split_call, split_selector
from stir_hf.models.run.session import Session


class Encoder:
    """Images in [0, 1], (b, c, h, w), or vectors (b, d'), to representations (b, d) of one layer,
    float32 or float64.

    Images of another size than the network's own are resized to it (antialiased, bilinear); then
    follow the arithmetic of the image processor and the network up to the layer. All of it is
    differentiable. The network is in eval mode while it is used and afterwards as it was, bit for
    bit: modes, buffers, `requires_grad`, hooks.
    """

    def __init__(self, network: Network, layer: str, *, label: str | None = None) -> None:
        self._given, self.layer = network, layer
        self.network = network.holding(split_call(split_selector(layer)[0])[0])
        self._label = label
        self._reading: Reading | None = None
        self._open: tuple[int, Session] | None = None
        self.network.check_there()
        self.network.check_batchnorm()
        if (native := self.preprocessing.extent) is not None:
            self.find_layer(native)

    @property
    def module(self) -> nn.Module:
        """The network itself."""
        return self.network.module

    @property
    def preprocessing(self) -> Preprocessing:
        """The preprocessing of its inputs."""
        return self.network.preprocessing

    @property
    def commit(self) -> str | None:
        """The commit of a checkpoint on the Hub."""
        return self.network.commit

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes of a result on the way in which it was read: masking that is off, one tower of
        several, values that the canvas rounds, …
        """
        return (*self.network_notes, *self.preprocessing.notes, *self._rounding_notes())

    @property
    def network_notes(self) -> tuple[str, ...]:
        """`notes` without those on the processor, which a judged model does not use."""
        return (*self.network.notes, *(self._reading.notes if self._reading else ()))

    def _rounding_notes(self) -> tuple[str, ...]:
        """Notes on values that the canvas rounds, measured once."""
        if (reading := self._reading) is None or not self.preprocessing.rounds:
            return ()
        if reading.rounding is None:
            with self.session() as session:
                extent = extent_of(reading.kind)
                reading.rounding = rounding_notes(session, self.preprocessing, extent)
        return reading.rounding

    @property
    def name(self) -> str:
        """The name in messages: Hub id, folder, class, or `name=`."""
        return self.network.name

    @name.setter
    def name(self, name: str) -> None:
        self.network.name = name

    @property
    def label(self) -> str:
        """The name in results: `name`, or for a local folder its last name and 8 digits of its
        identity.
        """
        return self.label_of(self.identity()) if self._label is not None else self.name

    def label_of(self, identity: dict[str, Any]) -> str:
        """`label`, from an identity that is there already."""
        if self._label is None:
            return self.name
        parts = {name: part for name, part in identity.items() if name != "tap"}
        return f"{self._label}#{short_hash(parts)}"

    @property
    def device(self) -> torch.device:
        """The device of the network's weights."""
        return self.network.device

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the network's weights."""
        return self.network.dtype

    @property
    def extent(self) -> Extent | None:
        """The network's native size, (h, w) of images; None if it takes inputs of any."""
        return self.preprocessing.extent

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All layers, each with the first missing parameter that it depends on. Of an `nn.Module`
        call `find_layer` first.
        """
        return self._prepared().layers

    @property
    def penultimate(self) -> Layer | None:
        """The default layer of a model of `transformers`; None where there is none for certain."""
        return self._prepared().penultimate

    def kind(self, extent: Extent) -> Kind:
        """The kind of its canvas at an extent."""
        return self.preprocessing.kind(extent)

    def canvas(self, original: Any) -> NDArray[Any]:
        """An original on the canvas: an image resized and cropped by the processor, uint8
        (c, h, w), white behind what is transparent; a vector (d,) as it is.
        """
        return self.preprocessing.canvas(original)

    def find_layer(self, extent: Extent) -> None:
        """Find the layer by watching one pass over noise, unless that was done.

        Args:
            extent: (h, w) of images or (d,) of vectors, for a network without a native size.

        Raises:
            RequestError: no such layer, an unsuitable pooling or input, or missing weights.
        """
        kind = self.network.kind(extent)
        if self._reading is None or self._reading.kind != kind:
            self._reading = read_probe(self.network, self.layer, kind)

    def over(self, modality: str) -> "Encoder":
        """The encoder over inputs of a kind; a module without a processor takes any.

        Raises:
            RequestError: it takes another kind.
        """
        if self.preprocessing.modality == modality:
            return self
        if not self.network.plain:
            raise RequestError(
                f"{self.name} takes {self.preprocessing.modality}s, and these data are {modality}s"
            )
        return self._again(self.layer, preprocessing=plain_preprocessing(modality))

    def at(self, layer: str) -> "Encoder":
        """The same network, read at another layer.

        Raises:
            RequestError: as `find_layer`.
        """
        other = self._again(layer)
        if self._reading is not None:
            other.find_layer(extent_of(self._reading.kind))
        return other

    def _again(self, layer: str, **changes: Any) -> "Encoder":
        given = replace(self._given, name=self.name, **changes)
        return Encoder(given, layer, label=self._label)

    def own(self, kind: Kind) -> Kind:
        """The kind of the network's own inputs for a canvas, which it may resize."""
        return self.network.kind(extent_of(kind))

    def session(self, *, tf32: bool = False) -> Session:
        """The network frozen, with its hook, while it is open; `tf32` allows TF32 on CUDA."""
        return Session(self.network, self._prepared(), tf32=tf32)

    def check_takes(self, kind: Kind) -> None:
        """Raise RequestError where the network does not take inputs of this kind."""
        if (why := self.preprocessing.refusal(kind)) is not None:
            raise RequestError(f"{self.name} {why}")

    def check_invertible(self, *, autocast: bool = False) -> None:
        """Raise RequestError for a quantised network, whose gradients, where there are any, are
        those of rounded arithmetic, for a float16 network, whose gradients are too small for that
        format, and for autocast of another than a float32 network.
        """
        if self.network.quantised is not None:
            raise RequestError(
                f"{self.name} is quantised ({self.network.quantised}): it has no gradient at its"
                " inputs that an inversion could rely on",
                f"; it can be judged: `stir-hf score {self.name} --inversions DIR`, on inversions"
                " of a network that is not",
            )
        if autocast and self.dtype != torch.float32:
            mine = str(self.dtype).removeprefix("torch.")
            raise RequestError(f"autocast is for float32 networks; {self.name} is in {mine}")
        if self.dtype == torch.float16:
            raise RequestError(
                f"{self.name} is in float16, in which the gradients of an inversion vanish; use"
                " bfloat16 or float32 (float16 serves to judge a model)"
            )

    def identity(self) -> dict[str, Any]:
        """The identity by content: equal for equal numbers, independent of names. Computed anew."""
        network = self.network
        return {
            "weights": network.weights or hash_of_weights(self.module, network.missing),
            "precision": {"dtype": str(self.dtype).removeprefix("torch.")},
            **self.preprocessing.identity(),
            "tap": self._prepared().spelling.spelling(),
        }

    def recorded(self) -> dict[str, Any]:
        """Metadata that is recorded but is not part of the identity: names, commit, classes."""
        return {
            "name": self.label,
            "revision": self.commit,
            "layer": self.layer,
            "module_class": type(self.module).__name__,
            "processor_class": self.preprocessing.processor,
        }

    def settings(self) -> dict[str, Any]:
        """The entries of the network's configuration that may change what it computes."""
        return entries(self.module)

    def named(self, name: str) -> "Encoder":
        """The same encoder under another name."""
        other = copy(self)
        other.network, other._label, other._open = replace(self.network, name=name), None, None
        return other

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Keep a session open for calls of the encoder in this thread."""
        if self._reading is None or self._open is not None:
            yield
            return
        with self.session() as session:
            self._open = get_ident(), session
            try:
                yield
            finally:
                self._open = None

    def __call__(self, values: Tensor, context: Context | None = None) -> Tensor:
        """Represent images (b, c, h, w) in [0, 1], or vectors (b, d'), of any float dtype, on any
        device: (b, d), on the network's device.

        Raises:
            RequestError: no float tensor, or inputs of a shape that the network does not take.
            RunError: too little memory.
        """
        if not isinstance(values, Tensor) or not values.is_floating_point():
            kind = values.dtype if isinstance(values, Tensor) else type(values).__name__
            raise RequestError(f"{self.name} takes a float tensor in [0, 1], not {kind}")
        self.network.check_takes(values)
        extent = tuple(values.shape[2 if values.ndim > 2 else 1 :])
        if self._reading is None:
            self.find_layer(extent)
        with self.network.taking(self.kind(extent)):
            if (kept := self._open) is not None and kept[0] == get_ident():
                return kept[1](values, context)
            with self.session() as session:
                return session(values, context)

    def _prepared(self) -> Reading:
        if self._reading is None:
            raise RequestError(
                f"{self.name} takes inputs of any size: call find_layer(size) first, with (h, w) of"
                " images or (d,) of vectors"
            )
        return self._reading
