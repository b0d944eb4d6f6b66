"""The ReLUs of a pass, and a gradient that passes the last one as if it were the identity.

The original's ResNets for CIFAR-10 have such ReLUs (`FakeReLU`, from the `robustness` library) at
the end of each block of their last stage, so one more in a ResNet-18 than here. Any call of `relu`
counts, by a module, a function or a method, in place or not; ReLU6 and other activations are none.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from stir_hf.models.network import Context
from stir_hf.models.run.session import Session

_IN_PLACE = frozenset({torch.relu_, Tensor.relu_})
_RELUS = frozenset({functional.relu, torch.relu, Tensor.relu}) | _IN_PLACE


class _Passed(torch.autograd.Function):
    """ReLU whose gradient is that of the identity."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, in_place: bool) -> Tensor:
        if not in_place:
            return torch.relu(x)
        ctx.mark_dirty(x)
        return torch.relu_(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:  # noqa: ARG004 - nothing is saved
        return gradients[0], None


class _Relus(TorchFunctionMode):
    """Numbers the calls of ReLU in one pass, and replaces one of them."""

    def __init__(self, replaced: int | None = None) -> None:
        super().__init__()
        self._replaced = replaced
        self.nodes: list[set[Any]] = []
        """The nodes of the gradient's graph that each call made."""

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if function not in _RELUS:
            return function(*args, **kwargs)
        if len(self.nodes) == self._replaced:
            x = args[0] if args else kwargs["input"]
            in_place = function in _IN_PLACE or kwargs.get("inplace", False)
            result: Any = _Passed.apply(x, in_place)  # type: ignore[no-untyped-call]  # torch's
        else:
            result = function(*args, **kwargs)
        base = result if result._base is None else result._base  # which a write in place changes
        self.nodes.append({result.grad_fn, base.grad_fn} - {None})
        return result


def last_relu(session: Session) -> int | None:
    """The number, from 0, of the last call of ReLU on which an open session's representation of the
    probe depends; None if there is none.
    """
    with torch.inference_mode(False), torch.enable_grad(), _Relus() as relus:
        probe = session.network.probe(session.reading.kind).requires_grad_()
        found = _nodes(session(probe))
    return max((i for i, nodes in enumerate(relus.nodes) if nodes & found), default=None)


def _nodes(tensor: Tensor) -> set[Any]:
    """All nodes of the graph of a tensor's gradient."""
    found, new = set[Any](), [tensor.grad_fn]
    while new:
        if (node := new.pop()) is not None and node not in found:
            found.add(node)
            new += [before for before, _ in node.next_functions]
    return found


class FakeReLU:
    """An open session whose gradient passes one call of ReLU as if it were the identity; values are
    the session's, bit for bit.
    """

    def __init__(self, session: Session, relu: int) -> None:
        self._session, self._relu = session, relu

    def __call__(self, values: Tensor, context: Context | None = None) -> Tensor:
        """Represent inputs, as the session does."""
        with _Relus(self._relu):
            return self._session(values, context)
