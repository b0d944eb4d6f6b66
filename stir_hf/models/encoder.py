"""A checkpoint or an `nn.Module` as a frozen, differentiable map from images to representations."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from stir_hf.errors import RequestError, closest, one_line
from stir_hf.inputs.images import resize
from stir_hf.models import taps as at
from stir_hf.models.checkpoints import load_checkpoint
from stir_hf.models.processors import Pixels, own_size
from stir_hf.models.spec import ModelSpec
from stir_hf.runtime import pick_device

_LEAST_BATCH = 4
"""Smaller batches are filled up with copies: convolution libraries treat them by other code, which rounds differently, and
an inversion would depend on how many images were left at its end."""


class Encoder:
    """Images in [0, 1], (b, c, h, w), to representations (b, d) of one layer, float32 or float64.

    Images of another size than the network's own are resized to it (antialiased, bilinear); then comes the image
    processor's arithmetic, then the network up to the layer that is read. All of it is differentiable. The network is in
    eval mode while it is used and afterwards as it was, bit for bit: modes, buffers, `requires_grad`, hooks.
    """

    def __init__(
        self,
        module: nn.Module,
        pixels: Pixels,
        *,
        name: str,
        layer: str,
        commit: str | None = None,
        missing: frozenset[str] = frozenset(),
        checkpoint: bool = True,
    ) -> None:
        self.module, self.pixels, self.name, self.layer = module, pixels, name, layer
        self.commit, self._missing, self.checkpoint = commit, missing, checkpoint
        self._tap: at.Tap | None = None
        self._frozen = False
        self._check_batchnorm()
        if pixels.size is not None:
            self.prepare(pixels.size)

    @cached_property
    def device(self) -> torch.device:
        """Where the network's weights are."""
        return next(
            (p.device for p in (*self.module.parameters(), *self.module.buffers())),
            torch.device("cpu"),
        )

    @cached_property
    def dtype(self) -> torch.dtype:
        """Precision of the network's weights."""
        return next(
            (p.dtype for p in self.module.parameters() if p.is_floating_point()), torch.float32
        )

    @property
    def image_dtype(self) -> torch.dtype:
        """Precision of images and representations: float64 for a float64 network, otherwise float32."""
        return torch.float64 if self.dtype == torch.float64 else torch.float32

    @property
    def channels(self) -> int:
        """1 or 3."""
        return self.pixels.channels

    @property
    def size(self) -> tuple[int, int] | None:
        """The network's native size (h, w); None when it takes images as they are."""
        return self.pixels.size

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What network this is, its layer included: its name, its commit, and a hash of weights and pixel arithmetic."""
        digest = hashlib.sha256()
        for key, tensor in sorted(self.module.state_dict().items()):
            digest.update(key.encode())
            digest.update(
                tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
            )
        digest.update(
            repr(
                (self.size, self.pixels.map.matrix.tolist(), self.pixels.map.bias.tolist())
            ).encode()
        )
        dtype = str(self.dtype).removeprefix("torch.")
        return {
            "model": self.name,
            "revision": self.commit,
            "layer": self.layer,
            "dtype": dtype,
            "fingerprint": digest.hexdigest()[:16],
        }

    @property
    def layers(self) -> tuple[at.Layer, ...]:
        """All layers that can be read. An `nn.Module` must have seen images first (`prepare`)."""
        return at.list_layers(self._trace(self.size or self._seen_size()))

    @property
    def penultimate(self) -> at.Layer | None:
        """The layer that is read by default in a checkpoint."""
        if not self.checkpoint:
            return None
        tap = self._penultimate(self._trace(self.size or self._seen_size()))
        if tap is None:
            return None
        with self.frozen(), torch.no_grad():
            width = self._read(self._probe(self.size or self._seen_size()), tap).shape[1]
        place = f"{tap.at} of {tap.module}" if tap.module else str(tap.part)
        return at.Layer(f"penultimate ({place})", (width,), tap.pooling)

    def prepare(self, size: tuple[int, int]) -> None:
        """Find the layer by watching one pass of noise of this size (h, w), and read it once.

        Raises:
            RequestError: no such layer, images that the network does not take, a pooling that the layer does not allow,
                or weights that the checkpoint lacks.
        """
        self._at_size = size
        seen = self._trace(size)
        if self.checkpoint or self.layer != "output":
            tap = at.find(self.layer, seen, self._penultimate(seen) if self.checkpoint else None)
        else:
            tap = at.Tap(None, "result")
        self._check_missing(self._modules_read(tap, size))
        self._tap = tap

    def fit(self, canvas: tuple[int, int]) -> None:
        """Make sure that the network takes images of this size (h, w); a checkpoint resizes them to its own.

        Raises:
            RequestError: as `prepare`.
        """
        if self.size is None:
            self.prepare(canvas)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """The network in eval mode and without weight gradients; on leaving, as it was before."""
        if self._frozen:
            yield
            return
        modes = [(module, module.training) for module in self.module.modules()]
        wanted = [(p, p.requires_grad) for p in self.module.parameters()]
        buffers = [(b, b.clone()) for b in self.module.buffers()]
        self.module.eval()
        self._frozen = True
        try:
            for parameter, _ in wanted:
                parameter.requires_grad_(False)
            yield
        finally:
            self._frozen = False
            for module, mode in modes:
                module.training = mode
            for parameter, want in wanted:
                parameter.requires_grad_(want)
            for buffer, before in buffers:
                if not torch.equal(buffer, before):
                    buffer.copy_(before)

    def __call__(self, images: Tensor) -> Tensor:
        """Represent images (b, c, h, w) in [0, 1] of any float dtype, on any device: (b, d), on the network's device.

        Raises:
            RequestError: images of another number of channels, or that the network does not take.
        """
        if images.ndim != 4 or images.shape[1] != self.channels:
            raise RequestError(
                f"{self.name} takes images (b, {self.channels}, h, w), not {tuple(images.shape)}"
            )
        if self._tap is None:
            self.prepare((images.shape[2], images.shape[3]))
        assert self._tap is not None
        with self.frozen():
            return self._read(images, self._tap)

    def _read(self, images: Tensor, tap: at.Tap) -> Tensor:
        count = len(images)
        if count < _LEAST_BATCH:
            images = images[torch.arange(_LEAST_BATCH, device=images.device) % count]
        images = resize(images.to(self.device, self.image_dtype), self.size)
        inputs = (
            self.pixels.map(images).to(self.dtype) if self.checkpoint else images.to(self.dtype)
        )
        return at.read(self.module, self._forward(tap), inputs, tap).to(self.image_dtype)[:count]

    def _forward(self, tap: at.Tap | None) -> at.Forward:
        if not self.checkpoint:
            return self.module
        states = tap is None or isinstance(tap.part, int)
        return lambda inputs: self.module(
            pixel_values=inputs, output_hidden_states=states, return_dict=True
        )

    def _probe(self, size: tuple[int, int]) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        return torch.rand(2, self.channels, *size, generator=generator)

    def _trace(self, size: tuple[int, int]) -> at.Trace:
        images = resize(self._probe(size).to(self.device, self.image_dtype), self.size)
        inputs = (self.pixels.map(images) if self.checkpoint else images).to(self.dtype)
        with self._running_on(size), self.frozen():
            return at.trace(self.module, self._forward(None), inputs)

    @contextmanager
    def _running_on(self, size: tuple[int, int]) -> Iterator[None]:
        try:
            yield
        except RequestError as error:
            raise RequestError(f"layer {self.layer!r} of {self.name}: {error}") from error
        except (
            RuntimeError,
            ValueError,
            TypeError,
            IndexError,
            AttributeError,
            AssertionError,
        ) as error:
            shape = "x".join(map(str, (self.channels, *size)))
            raise RequestError(
                f"model {self.name} does not run on images of shape {shape}: {one_line(error)}"
            ) from error

    def _penultimate(self, seen: at.Trace) -> at.Tap | None:
        lacking = any("pooler" in key for key in self._missing)
        cls_token = any(
            "cls_token" in key or "class_embedding" in key
            for key, _ in self.module.named_parameters()
        )
        return at.classifier_input(seen) or at.backbone_output(
            seen, pooler=not lacking, cls_token=cls_token
        )

    def _seen_size(self) -> tuple[int, int]:
        if not hasattr(self, "_at_size"):
            raise RequestError(
                f"{self.name} takes images as they are: call prepare((height, width)) first"
            )
        return self._at_size

    def _modules_read(self, tap: at.Tap, size: tuple[int, int]) -> set[str]:
        """Read the layer once; the names of the modules that this needs."""
        ran: set[str] = set()
        hooks = [
            module.register_forward_pre_hook(lambda *_, name=name: ran.add(name))
            for name, module in self.module.named_modules()
        ]
        try:
            with self._running_on(size), self.frozen(), torch.no_grad():
                self._read(self._probe(size), tap)
        finally:
            for hook in hooks:
                hook.remove()
        return ran - ({tap.module} if tap.at == "input" and tap.module else set())

    def _check_missing(self, ran: set[str]) -> None:
        """Refuse a layer that depends on weights which the checkpoint lacks."""
        if lacking := sorted(key for key in self._missing if key.rpartition(".")[0] in ran):
            raise RequestError(
                f"checkpoint {self.name} lacks {lacking[0]}, which layer {self.layer!r} depends on"
            )

    def _check_batchnorm(self) -> None:
        for name, module in self.module.named_modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is None:
                raise RequestError(
                    f"{self.name} normalises by the statistics of the batch ({name}), so an image has no representation"
                    " of its own; give it running statistics"
                )


def load_encoder(
    model: str | nn.Module,
    layer: str | None = None,
    *,
    revision: str | None = None,
    device: str | None = None,
    dtype: str = "float32",
    channels: int = 3,
    name: str | None = None,
) -> Encoder:
    """The encoder of a checkpoint or a network.

    Args:
        model: Hub id, `id@revision`, local folder, or an `nn.Module` that takes images in [0, 1] at their own size,
            (b, c, h, w), and brings its own normalisation. A module stays on its device and in its precision.
        layer: `penultimate` (the default of a checkpoint: the input of its final classifier; of a backbone its pooler if
            the checkpoint has its weights, else CLS, else the mean over tokens or space), `output` (the default of a
            module), `logits`, `hidden_states[i]`, or a module's name; each with `:mean`, `:max`, `:cls` or `:flatten`.
        revision: branch, tag or commit.
        device: of a checkpoint; None takes the best there is.
        dtype: of a checkpoint: `float32`, `float64`, `bfloat16` or `float16`.
        channels: that an `nn.Module` takes, 1 or 3.
        name: what results call it; None is the checkpoint's name or the module's class.

    Raises:
        RequestError: no such model, revision or layer; broken, missing or pickled weights; a device that is not there.
    """
    if isinstance(model, nn.Module):
        return _from_module(model, layer, device, channels, name)
    spec = ModelSpec.parse(model, revision, layer)
    place = pick_device(device)
    loaded = load_checkpoint(spec, getattr(torch, dtype))
    module = loaded.module.to(place)
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # faster convolutions; not in torch's stub
    return Encoder(
        module,
        loaded.pixels,
        name=name or spec.name,
        layer=layer or "penultimate",
        commit=loaded.commit,
        missing=loaded.missing,
    )


def _from_module(
    module: nn.Module, layer: str | None, device: str | None, channels: int, called: str | None
) -> Encoder:
    layer = layer or "output"
    known = [name for name, _ in module.named_modules() if name]
    if (name := at.split_selector(layer)[0]) not in ("output", *known):
        raise RequestError(
            f"no layer {name!r} in {type(module).__name__}; {closest(name, ['output', *known])}"
        )
    encoder = Encoder(
        module,
        own_size(channels),
        name=called or type(module).__name__,
        layer=layer,
        checkpoint=False,
    )
    if device is not None and pick_device(device).type != encoder.device.type:
        raise RequestError(
            f"{encoder.name} is on {encoder.device}, not {device}; a module stays where it is"
        )
    return encoder
