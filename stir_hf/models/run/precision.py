"""Global settings of arithmetic while a network is at work, and afterwards as they were."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch

_LOCK = threading.RLock()
"""The settings are those of the whole process; threads take turns in changing them."""


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
"""The settings that holders of the precision asked for, the latest last."""
_BEFORE: list[_Precision] = []
"""The settings before the first of them, if there is one."""


@contextmanager
def float32_precision(tf32: bool) -> Iterator[None]:
    """Matrix products and convolutions of float32 in full, or on CUDA in TF32; on leaving, as they
    were set before.
    """
    with _LOCK:
        if not _HELD:
            _BEFORE[:] = [_Precision()]
        _HELD.append(tf32)
        _set_tf32(tf32)
    try:
        yield
    finally:
        with _LOCK:
            del _HELD[len(_HELD) - 1 - _HELD[::-1].index(tf32)]
            if _HELD:
                _set_tf32(_HELD[-1])
            else:
                _BEFORE.pop().restore()


_DEFAULTS: list[torch.dtype] = []
"""The default dtype before the first of the passes that need another one, once for each of them."""


def has_own_default(dtype: torch.dtype) -> bool:
    """Return whether torch's default dtype is one that changes what a network of a precision
    computes: its forward may make tensors of the default dtype.
    """
    default = torch.get_default_dtype()
    return default != torch.float32 and not default == dtype == torch.float64


@contextmanager
def usual_default(dtype: torch.dtype) -> Iterator[None]:
    """Around a pass of a network of a precision: float32 is the default dtype, whatever another
    library has set.
    """
    with _LOCK:
        change = bool(_DEFAULTS) or has_own_default(dtype)
        if change:
            _DEFAULTS.append(_DEFAULTS[0] if _DEFAULTS else torch.get_default_dtype())
            torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        if change:
            with _LOCK:
                before = _DEFAULTS.pop()
                if not _DEFAULTS:
                    torch.set_default_dtype(before)


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
        *(backends.cudnn.conv, backends.cudnn.rnn),
        *(backends.mkldnn.matmul, backends.mkldnn.conv, backends.mkldnn.rnn),
    ]


@contextmanager
def _quietly() -> Iterator[None]:
    """Without torch's advice on which of its two sets of terms to use."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
