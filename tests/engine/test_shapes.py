"""The same loop over inputs of any shape."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from stir_hf.engine import STARTS, AdamPolyak, Item, Paper, Rule, Smooth, start_value
from tests.engine.problems import errors, run


def waveforms() -> nn.Module:
    """(b, 64) to (b, 6)."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 64)),
        nn.Conv1d(1, 6, 9, stride=4),
        nn.Tanh(),
        nn.Conv1d(6, 4, 5, stride=2),
        nn.Flatten(),
        nn.Linear(20, 6),
    )


class Embeddings(nn.Module):
    """(b, 5, 8) to (b, 8), by attention over the five."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        mixed: Tensor = self.attention(x, x, x, need_weights=False)[0]
        return (x + mixed).tanh().mean(1)


@pytest.mark.parametrize(
    "rule",
    [AdamPolyak(), AdamPolyak(metric="l2"), Smooth(), Paper(step_size=0.02)],
    ids=["adam-polyak", "l2", "smooth", "paper"],
)
@pytest.mark.parametrize(
    ("make", "shape"),
    [(waveforms, (64,)), (Embeddings, (5, 8)), (nn.Flatten, (2, 2, 2, 3))],
    ids=["waveforms", "embeddings", "volumes"],
)
def test_any_shape_is_inverted(
    make: Callable[[], nn.Module], shape: tuple[int, ...], rule: Rule
) -> None:
    torch.manual_seed(0)
    net = make().double().requires_grad_(False)
    inputs = torch.rand(5, *shape, dtype=torch.float64)
    uniform = STARTS.parse("uniform")
    work = [
        Item((i, 0), start_value(uniform, shape, seed=0, index=i, draw=0).double(), target)
        for i, target in enumerate(net(inputs))
    ]
    space = tuple(range(len(shape)))[-2:]
    found = run(net, work, rule, passes=400, tolerance=0.05, batch=2, space=space)
    assert [r.value.shape for r in found] == [shape] * 5
    assert errors(net, work, found).max() <= 0.05
    distance = torch.stack([r.value for r in found]) - inputs
    assert make is nn.Flatten or float(distance.abs().max()) > 0.1
