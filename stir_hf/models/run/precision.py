"""Global settings of arithmetic while a network runs, restored afterwards."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch

_LOCK = threading.RLock()
"""Lock on the settings, which are global to the process."""


class _Precision:
    """The settings of float32 arithmetic, by torch's old names and, from 2.9 on, its new ones."""

    def __init__(self) -> None:
        self.matmul: str | None = None
        self.cudnn: bool | None = None
        with warnings.catch_warnings(action="ignore"):  # torch warns about its two sets of names
            with suppress(RuntimeError):  # the user has set new terms: old ones cannot be read
                self.matmul = torch.get_float32_matmul_precision()
            with suppress(RuntimeError):
                self.cudnn = torch.backends.cudnn.allow_tf32
            self.new = [part.fp32_precision for part in _new_terms()]

    def restore(self) -> None:
        with warnings.catch_warnings(action="ignore"):
            if self.matmul is not None:
                torch.set_float32_matmul_precision(self.matmul)
            if self.cudnn is not None:
                torch.backends.cudnn.allow_tf32 = self.cudnn
            for part, value in zip(_new_terms(), self.new, strict=True):
                if part.fp32_precision != value:
                    part.fp32_precision = value


_HELD: list[bool] = []
"""The settings of the current users, the latest last."""
_BEFORE: list[_Precision] = []
"""The settings before the first user, if there is one."""


@contextmanager
def float32_precision(tf32: bool) -> Iterator[None]:
    """A context with float32 matrix products and convolutions in full precision, or in TF32 on
    CUDA; the former settings are restored on exit.
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
"""The default dtype before the first pass that needs another one, once for each such pass."""


@contextmanager
def usual_default(dtype: torch.dtype) -> Iterator[None]:
    """A context for a pass of a network in a precision, with float32 as the default dtype, in which
    its forward may create tensors; a float64 network may keep float64.
    """
    with _LOCK:
        default = torch.get_default_dtype()
        allowed = default == torch.float32 or default == dtype == torch.float64
        change = bool(_DEFAULTS) or not allowed
        if change:
            _DEFAULTS.append(_DEFAULTS[0] if _DEFAULTS else default)
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
    with warnings.catch_warnings(action="ignore"):
        torch.backends.cuda.matmul.allow_tf32 = on
        torch.backends.cudnn.allow_tf32 = on
        for part in _new_terms():
            if not on and part.fp32_precision in ("tf32", "bf16"):  # set or inherited differently
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
