"""Passes through `torch.compile`.

On a CPU they were slower than passes that are not compiled (`benchmarks/compiled.py`), so that
nothing is compiled unless it is asked for.
"""

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from types import FunctionType, MethodType
from typing import Any

import torch
from torch import Tensor

from stir_hf.errors import RequestError, one_line
from stir_hf.models.preprocessing import LEAST_BATCH

Represent = Callable[[Tensor, Mapping[str, Tensor]], Tensor]


def check_compiler(device: torch.device) -> None:
    """Check that there is what `torch.compile` needs on a device: a C++ compiler for a CPU, Triton
    elsewhere.

    Raises:
        RequestError: it is missing.
    """
    if device.type != "cpu":
        if find_spec("triton") is None:
            raise RequestError(f"compile=True needs Triton on {device.type}; install triton")
        return
    name = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    if shutil.which(name) is None:
        raise RequestError(
            f"compile=True needs a C++ compiler, and there is no {name}; install it, set CXX to"
            " another, or use compile=False"
        )


def compilable(values: Tensor) -> bool:
    """Return whether a pass is run compiled: one with gradients, of so many rows that none are
    added, as others would be compiled anew.
    """
    return torch.is_grad_enabled() and len(values) >= LEAST_BATCH


def compiled(represent: Any, name: str) -> Represent:
    """A method as one compiled graph for batches of any size; `name` is that of the network.

    Raises:
        RequestError: when called, if the pass cannot be compiled.
    """
    graph: Any = torch.compile(_own(represent), fullgraph=True)

    def run(values: Tensor, context: Mapping[str, Tensor]) -> Tensor:
        for tensor in (values, *context.values()):
            torch._dynamo.maybe_mark_dynamic(tensor, 0)
        try:
            found: Tensor = graph(values, context)
        except torch._dynamo.exc.TorchDynamoException as error:
            raise RequestError(
                f"{name} cannot be compiled ({one_line(error)}); use compile=False"
            ) from error
        return found

    return run


def _own(method: Any) -> Any:
    """A method with a code of its own, as torch keeps at most 8 graphs of one code."""
    function = method.__func__
    code = function.__code__.replace()
    return MethodType(FunctionType(code, function.__globals__), method.__self__)
