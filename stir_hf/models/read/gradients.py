"""Checks that a network can be inverted: a gradient must reach its inputs."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from stir_hf.errors import RequestError, RunError, is_out_of_memory, one_line
from stir_hf.models.network import Network


@contextmanager
def differentiable(network: Network) -> Iterator[None]:
    """A context for the first pass that records a gradient, in a network that runs without one.

    Raises:
        RequestError: the network cannot be differentiated, since it overwrites tensors that the
            gradient needs, has hooks that prevent it, or an operation without a derivative.
    """
    try:
        yield
    except (RequestError, RunError):
        raise
    except Exception as error:  # operations and hooks fail in many ways
        if is_out_of_memory(error):
            raise
        raise RequestError(
            f"{network.name} cannot be inverted, as its pass with gradients fails:"
            f" {one_line(error)}; it can be judged by `stir_hf.score` on inversions of another"
            " network"
        ) from error


def check_gradient(network: Network, found: Tensor, probe: Tensor) -> None:
    """Check that a gradient of the representation (2, d) reaches the probe.

    Raises:
        RequestError: no gradient, though the representation is finite and differs between the two
            inputs.
    """
    gradient: Tensor | None = None
    if found.requires_grad:
        generator = torch.Generator().manual_seed(1)
        weights = torch.randn(found.shape, generator=generator, device="cpu").to(found)
        (gradient,) = torch.autograd.grad((found * weights).sum(), probe, allow_unused=True)
    tells_apart = bool(found.isfinite().all()) and not torch.equal(found[0], found[1])
    if gradient is None or (tells_apart and not bool(gradient.any())):
        raise RequestError(
            f"the representation of {network.name} carries no gradient to the inputs, so nothing"
            " can be inverted with it"
        )
