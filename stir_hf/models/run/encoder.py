"""A network as a frozen, differentiable map from images to representations."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from threading import get_ident
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from stir_hf.errors import RequestError
from stir_hf.inputs.base import Kind
from stir_hf.inputs.images import MODES, ImageKind
from stir_hf.models.images.processors import Pixels
from stir_hf.models.images.rounding import rounding_notes
from stir_hf.models.load.configuration import entries
from stir_hf.models.load.identity import network_identity, short_hash
from stir_hf.models.read.probing import Reading, read_probe
from stir_hf.models.read.taps import Layer, split_call, split_selector
from stir_hf.models.run.network import Network
from stir_hf.models.run.session import Session


class Encoder:
    """Images in [0, 1], (b, c, h, w), to representations (b, d) of one layer, float32 or float64.

    Images of another size than the network's own are resized to it (antialiased, bilinear); then
    comes the image processor's arithmetic, then the network up to the layer that is read. All of
    it is differentiable. The network is in eval mode while it is used and afterwards as it was,
    bit for bit: modes, buffers, `requires_grad`, hooks.
    """

    def __init__(
        self, network: Network, layer: str, *, commit: str | None = None, label: str | None = None
    ) -> None:
        self._given, self.layer, self.commit = network, layer, commit
        self.network = network.holding(split_call(split_selector(layer)[0])[0])
        self._label = label
        self._reading: Reading | None = None
        self._rounding: tuple[str, ...] | None = None
        self._open: tuple[int, Session] | None = None
        self.network.check_there()
        self.network.check_batchnorm()
        if self.network.pixels.size is not None:
            self.prepare(self.network.pixels.size)

    @property
    def module(self) -> nn.Module:
        """The network itself."""
        return self.network.module

    @property
    def pixels(self) -> Pixels:
        """The image processor, understood."""
        return self.network.pixels

    @property
    def notes(self) -> tuple[str, ...]:
        """What a result says of how it was read: masking that is off, one tower of several,
        values that the canvas rounds, …
        """
        return (*self.network_notes, *self.pixels.notes, *self._rounding_notes())

    @property
    def network_notes(self) -> tuple[str, ...]:
        """`notes` but for those on the image processor, which a model that is judged on the canvas
        of another does not use.
        """
        return (*self.network.notes, *(self._reading.notes if self._reading else ()))

    def _rounding_notes(self) -> tuple[str, ...]:
        """What the canvas rounds, measured once."""
        if self._reading is None or not self.pixels.rounds:
            return ()
        if self._rounding is None:
            with self.session() as session:
                self._rounding = rounding_notes(session)
        return self._rounding

    @property
    def name(self) -> str:
        """What it was given as: Hub id, folder, class, or `name=`."""
        return self.network.name

    @name.setter
    def name(self, name: str) -> None:
        self.network.name = name

    @property
    def label(self) -> str:
        """What results call it: `name`, but a local folder is its last name and 8 digits of its
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
        """Where the network's weights are."""
        return self.network.device

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the network's weights."""
        return self.network.dtype

    @property
    def image_dtype(self) -> torch.dtype:
        """Precision of images and representations: float64 for a float64 network, otherwise
        float32.
        """
        return self.network.image_dtype

    @property
    def channels(self) -> int:
        """1 or 3."""
        return self.pixels.channels

    @property
    def size(self) -> tuple[int, int] | None:
        """The network's native size (h, w); None when it takes images as they are."""
        return self.pixels.size

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All layers, each with the first of the weights that the checkpoint lacks and it depends
        on, where it cannot be read for that. An `nn.Module` must have seen images first
        (`prepare`).
        """
        return self._prepared().layers

    @property
    def penultimate(self) -> Layer | None:
        """The layer that is read by default in a model of `transformers`; None where there is none
        for certain.
        """
        return self._prepared().penultimate

    def kind(self, canvas: tuple[int, int]) -> ImageKind:
        """What it takes on a canvas of a size (h, w)."""
        return ImageKind(MODES[self.channels], canvas)

    def canvas(self, image: Image.Image) -> NDArray[np.uint8]:
        """An image as the processor resizes and crops it, (c, h, w); what is transparent shows
        white behind it.
        """
        return np.ascontiguousarray(self.pixels.canvas(image).transpose(2, 0, 1))

    def prepare(self, size: tuple[int, int]) -> None:
        """Find the layer by watching one pass over noise, unless that was done.

        Args:
            size: (h, w) of the images, for a network that takes them at their own size.

        Raises:
            RequestError: no such layer, images or a pooling that it does not take, weights that
                the checkpoint lacks.
        """
        size = self.size or size
        if self._reading is None or self._reading.size != size:
            self._reading = read_probe(self.network, self.layer, size)
            self._rounding = None

    fit = prepare

    def at(self, layer: str) -> "Encoder":
        """The same network, read at another layer.

        Raises:
            RequestError: as `prepare`.
        """
        given = replace(self._given, name=self.name)
        other = Encoder(given, layer, commit=self.commit, label=self._label)
        if self._reading is not None:
            other.prepare(self._reading.size)
        return other

    def session(self, *, tf32: bool = False) -> Session:
        """The network frozen, with its hook in place, as long as it is open; `tf32` allows TF32 on
        CUDA.
        """
        return Session(self.network, self._prepared(), tf32=tf32)

    def check_takes(self, kind: Kind) -> None:
        """Raise RequestError where the network does not take inputs of this kind and mode."""
        mine, mode = MODES[self.channels], kind.spelling()["mode"]
        if mine != mode:
            raise RequestError(f"{self.name} takes {mine} images; these inversions are {mode!r}")

    def check_invertible(self, *, autocast: bool = False) -> None:
        """Raise RequestError for a quantised network, whose gradients, where there are any, are
        those of rounded arithmetic, for a float16 network, whose gradients are too small for that
        format, and for autocast of another than a float32 network.
        """
        if self.network.quantised is not None:
            raise RequestError(
                f"{self.name} is quantised ({self.network.quantised}): it has no gradient at its"
                " pixels that an inversion could rely on; it can be judged: `stir-hf score"
                f" {self.name} --inversions DIR`, on inversions of a network that is not"
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
        """What makes the encoder what it is, by content: equal for equal numbers, whatever the
        names. Computed anew.
        """
        network = self.network
        parts = network_identity(
            self.module, self.pixels, self.dtype, network.weights, network.missing
        )
        return {**parts, "tap": self._prepared().spelling.spelling()}

    def recorded(self) -> dict[str, Any]:
        """What is worth knowing of it and makes no difference: names, commit, classes."""
        return {
            "name": self.label,
            "revision": self.commit,
            "layer": self.layer,
            "module_class": type(self.module).__name__,
            "processor_class": self.pixels.processor,
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
        """Keep a session open that calls of the encoder in this thread use."""
        if self._reading is None or self._open is not None:
            yield
            return
        with self.session() as session:
            self._open = get_ident(), session
            try:
                yield
            finally:
                self._open = None

    def __call__(self, images: Tensor) -> Tensor:
        """Represent images (b, c, h, w) in [0, 1] of any float dtype, on any device: (b, d), on
        the network's device.

        Raises:
            RequestError: no float tensor, images of another number of channels, or that the network
                does not take.
            RunError: too little memory.
        """
        if not isinstance(images, Tensor) or not images.is_floating_point():
            kind = images.dtype if isinstance(images, Tensor) else type(images).__name__
            raise RequestError(f"{self.name} takes a float tensor in [0, 1], not {kind}")
        if images.ndim != 4 or images.shape[1] != self.channels:
            raise RequestError(
                f"{self.name} takes images (b, {self.channels}, h, w), not {tuple(images.shape)}"
            )
        size = (images.shape[2], images.shape[3])
        if self._reading is None:
            self.prepare(size)
        with self.network.taking(size):
            if (kept := self._open) is not None and kept[0] == get_ident():
                return kept[1](images)
            with self.session() as session:
                return session(images)

    def _prepared(self) -> Reading:
        if self._reading is None:
            raise RequestError(
                f"{self.name} takes images as they are: call prepare((height, width)) first"
            )
        return self._reading
