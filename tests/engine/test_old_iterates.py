"""Both methods step as they did before rules, constraints and slots came apart: bit for bit, over
20 steps.

Twice: against the old steps, kept here as they were written, on this machine; and against what the
old code computed on one machine, tests/data/old_iterates.npz (the first values of each iterate,
and the hash of all of them).
"""

import hashlib
import io
import platform
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from stir_hf.demo import IMAGES, model_path
from stir_hf.engine import (
    RULES,
    STARTS,
    Box,
    Context,
    Domain,
    Item,
    Plan,
    descend,
    relative_error,
    start_value,
)

RECORDED = Path(__file__).parent.parent / "data" / "old_iterates.npz"
STEPS, SHOWN = 20, 6
NOISE = STARTS.parse("noise")
Problem = tuple[Callable[[Tensor], Tensor], Tensor, Tensor]
"""A network, starts and targets, in float32."""


def machine() -> str:
    """Where float32 results can be expected to be the same to the last bit."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    models = {line.partition(":")[2].strip() for line in lines if line.startswith("model name")}
    flags = {line.partition(":")[2].strip() for line in lines if line.startswith("flags")}
    digest = hashlib.sha256("".join(sorted(flags)).encode()).hexdigest()[:8]
    return f"{torch.__version__} {platform.machine()} {' '.join(sorted(models))} {digest}"


def small() -> Problem:
    generator = torch.Generator().manual_seed(0)
    weights = [torch.randn(s, generator=generator) * 0.2 for s in ((6, 3, 3, 3), (8, 6, 3, 3))]
    head = torch.randn(12, 8 * 16, generator=generator) * 0.1

    def net(x: Tensor) -> Tensor:
        for weight in weights:
            x = nn.functional.conv2d(x, weight, stride=2).relu()
        return x.flatten(1) @ head.T

    shape = (3, 19, 19)
    starts = [start_value(NOISE, shape, seed=0, index=i, draw=0) for i in range(5)]
    return net, torch.stack(starts), net(torch.rand(5, *shape, generator=generator))


def demo() -> Problem:
    from transformers import AutoModelForImageClassification

    model = AutoModelForImageClassification.from_pretrained(model_path("robust-0"))
    model = model.eval().requires_grad_(False)
    files = pq.read_table(next(IMAGES.glob("*.parquet")))["image"][:3].to_pylist()
    pictures = [np.array(Image.open(io.BytesIO(f["bytes"])).convert("L")) for f in files]
    images = torch.from_numpy(np.stack(pictures)[:, None].astype(np.float32) / np.float32(255))

    def net(x: Tensor) -> Tensor:
        pooled: Tensor = model.resnet(pixel_values=(x - 0.286) / 0.353).pooler_output
        return pooled.flatten(1)

    starts = [start_value(NOISE, (1, 28, 28), seed=0, index=i, draw=0) for i in range(3)]
    return net, torch.stack(starts), net(images)


PROBLEMS: dict[str, Callable[[], Problem]] = {"small": small, "robust-0": demo}


def old_adam_polyak(x: Tensor, error: Tensor, gradient: Tensor, state: dict[str, Tensor]) -> Tensor:
    """`AdamPolyak.step` as it was."""
    unseen_v, unseen_m = state["decay_k"].mul_(0.9), state["momentum_k"].mul_(0.9)
    v = state["v"].mul_(0.9).addcmul_(gradient, gradient, value=1 - 0.9)
    floor = gradient.flatten(1).norm(dim=1)[:, None, None, None] * (
        1e-3 / gradient[0].numel() ** 0.5
    )
    root = (v / (1 - unseen_v)).sqrt_().add_(floor).clamp_min_(1e-30)
    free = (x - gradient.sign()).clamp_(0, 1).sub_(x).sign_().abs_().mul_(gradient)
    direction = free / root
    slope = (free * direction).flatten(1).sum(1).clamp_min_(1e-30)
    scale = (0.5 * error / slope)[:, None, None, None]
    m = state["m"].lerp_(direction.mul_(-scale), 1 - 0.9)
    return torch.addcdiv(x, m, 1 - unseen_m).clamp_(0, 1)


def old_paper(x: Tensor, error: Tensor, gradient: Tensor, state: dict[str, Tensor]) -> Tensor:
    """`Paper.step` as it was."""
    norm = gradient.flatten(1).norm(dim=1) + 1e-10
    moved: Tensor = x - 0.5 * gradient / norm[:, None, None, None]
    return moved.clamp_(0, 1)


def old_begin(method: str, start: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """`Rule.begin` as it was."""
    if method == "paper":
        return start, {}
    x = start.clamp(0, 1)
    ones = x.new_ones(len(x), 1, 1, 1)
    zeros = {"v": torch.zeros_like(x), "m": torch.zeros_like(x)}
    return x, {**zeros, "decay_k": ones, "momentum_k": ones.clone()}


def old_iterates(method: str, problem: Problem) -> list[Tensor]:
    """The start and 20 iterates, each (b, c, h, w), by the old loop's own lines."""
    net, starts, target = problem
    x, state = old_begin(method, starts)
    step = {"adam-polyak": old_adam_polyak, "paper": old_paper}[method]
    seen = [x.clone()]
    for _ in range(STEPS):
        x = x.requires_grad_(True)
        error = relative_error(net(x), target)
        (gradient,) = torch.autograd.grad(error.sum(), x)
        x, error = x.detach(), error.detach()
        x = step(x, error, gradient, state)
        seen.append(x.clone())
    return seen


def iterates(method: str, problem: Problem) -> list[Tensor]:
    """The same, as the loop evaluates them."""
    net, starts, target = problem
    seen: list[Tensor] = []

    def represent(x: Tensor, context: Context) -> Tensor:
        seen.append(x.detach().clone())
        return net(x)

    items = [Item((i, 0), *pair) for i, pair in enumerate(zip(starts, target, strict=True))]
    plan = Plan(RULES.parse(SPELT[method]), Domain(Box()), STEPS, 1e-9)
    found = descend(represent, items, plan, batch_size=len(items))
    assert len(list(found)) == len(items)
    return seen


SPELT = {"adam-polyak": "adam-polyak:length=0.5,half=0,decay=0.9", "paper": "paper"}
"""How the old rules are asked for now."""


@pytest.mark.parametrize("method", SPELT)
@pytest.mark.parametrize("name", PROBLEMS)
def test_iterates_are_the_old_ones_bit_for_bit(method: str, name: str) -> None:
    problem = PROBLEMS[name]()
    found = iterates(method, problem)
    expected = old_iterates(method, problem)
    assert len(found) == len(expected) == STEPS + 1
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    recorded = np.load(RECORDED)
    values = np.stack([x.flatten(1)[:, :SHOWN].numpy() for x in found])
    np.testing.assert_allclose(values, recorded[f"{name}/{method}"], rtol=0, atol=1e-3)
    if str(recorded["machine"]) == machine():
        digest = hashlib.sha256(b"".join(x.numpy().tobytes() for x in found)).hexdigest()
        assert digest == str(recorded[f"{name}/{method}/sha256"])
