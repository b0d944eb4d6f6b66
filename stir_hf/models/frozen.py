"""A network while it is used: frozen, in the precision that was asked for, and afterwards as it
was, bit for bit.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import nn

from stir_hf.models.attributes import Attributes
from stir_hf.models.settings import Settings


class _Frozen:
    """What a network was before it was frozen, and how many hold it so."""

    def __init__(self, module: nn.Module) -> None:
        self.users = 0
        self._attributes, self._settings = Attributes(module), Settings(module)
        self._modes = [(m, m.training) for m in module.modules()]
        self._wanted = [
            (m, name, parameter.requires_grad)
            for m in module.modules()
            for name, parameter in m._parameters.items()
            if parameter is not None
        ]
        self._buffers = [
            (m, name, buffer, buffer.clone())
            for m in module.modules()
            for name, buffer in m._buffers.items()
            if buffer is not None
        ]
        module.eval()
        self._settings.set()
        for parameter in module.parameters():
            _require_grad(parameter, False)

    def restore(self) -> None:
        self._attributes.restore()
        self._settings.restore()
        for module, mode in self._modes:
            module.training = mode
        for m, name, want in self._wanted:
            parameter = m._parameters[name]  # of a network that is spread, another object
            if parameter is not None and parameter.requires_grad != want:
                _require_grad(parameter, want)
        for module, name, buffer, before in self._buffers:
            if not buffer.is_meta and not torch.equal(buffer, before):
                with torch.inference_mode(buffer.is_inference()):
                    buffer.copy_(before)
            module._buffers[name] = buffer


def _require_grad(parameter: nn.Parameter, want: bool) -> None:
    with torch.inference_mode(parameter.is_inference()):  # its flag can be set nowhere else
        parameter.requires_grad_(want)


_FROZEN: dict[int, _Frozen] = {}
"""By the id of the network's outermost module, which is kept alive as long as it is here."""


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """The network in eval mode and without weight gradients; when the last who holds it leaves, as
    it was before.
    """
    with torch.inference_mode(False), torch.no_grad():
        state = _FROZEN.get(id(module)) or _Frozen(module)
    _FROZEN[id(module)] = state
    state.users += 1
    try:
        yield
    finally:
        state.users -= 1
        if not state.users:
            del _FROZEN[id(module)]
            with torch.inference_mode(False), torch.no_grad():
                state.restore()


class _Precision:
    """The settings of float32 arithmetic, in torch's old terms and, from torch 2.9 on, in its new
    ones.
    """

    def __init__(self) -> None:
        self.matmul: str | None = None
        self.cudnn: bool | None = None
        with _quietly():  # where the user has set new terms, the old ones cannot be read
            with suppress(RuntimeError):
                self.matmul = torch.get_float32_matmul_precision()
            with suppress(RuntimeError):
                self.cudnn = torch.backends.cudnn.allow_tf32
            self.new = [part.fp32_precision for part in _new_terms()]

    def restore(self) -> None:
        with _quietly():
            if self.matmul is not None:
                torch.set_float32_matmul_precision(self.matmul)
            if self.cudnn is not None:
                torch.backends.cudnn.allow_tf32 = self.cudnn
            for part, value in zip(_new_terms(), self.new, strict=True):
                if part.fp32_precision != value:
                    part.fp32_precision = value


_HELD: list[bool] = []
"""What those who hold the precision asked for, the latest last."""
_BEFORE: list[_Precision] = []
"""The settings before the first of them, if there is one."""


@contextmanager
def float32_precision(tf32: bool) -> Iterator[None]:
    """Matrix products and convolutions of float32 in full, or on CUDA in TF32; on leaving, as they
    were set before.
    """
    if not _HELD:
        _BEFORE[:] = [_Precision()]
    _HELD.append(tf32)
    _set_tf32(tf32)
    try:
        yield
    finally:
        del _HELD[len(_HELD) - 1 - _HELD[::-1].index(tf32)]
        if _HELD:
            _set_tf32(_HELD[-1])
        else:
            _BEFORE.pop().restore()


def _set_tf32(on: bool) -> None:
    with _quietly():
        torch.backends.cuda.matmul.allow_tf32 = on
        torch.backends.cudnn.allow_tf32 = on
        for part in _new_terms():
            if not on and part.fp32_precision in ("tf32", "bf16"):  # set or inherited otherwise
                part.fp32_precision = "ieee"


def _new_terms() -> list[Any]:
    backends: Any = torch.backends
    if not hasattr(backends.cuda.matmul, "fp32_precision"):
        return []
    return [
        backends.cuda.matmul,
        backends.cudnn.conv,
        backends.cudnn.rnn,
        backends.mkldnn.matmul,
    ]


@contextmanager
def _quietly() -> Iterator[None]:
    """Without torch's advice on which of its two sets of terms to use."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
