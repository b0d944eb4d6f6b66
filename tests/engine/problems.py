"""Small problems in float64 that the tests of the engine share."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from stir_hf.engine import (
    STARTS,
    Box,
    Domain,
    Inverted,
    Item,
    Plan,
    Rule,
    descend,
    relative_error,
    start_value,
)

SHAPE = (2, 6, 6)
NOISE = STARTS.parse("noise")


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Conv2d(2, 8, 3),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32, 12),
    )
    return net.double().requires_grad_(False)


def by_row(net: nn.Module) -> Callable[[Tensor], Tensor]:
    """Each row by itself, so that not one bit depends on the others."""
    return lambda x: torch.cat([net(row[None]) for row in x])


def items(net: nn.Module, count: int) -> list[Item]:
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(count, *SHAPE, generator=generator, dtype=torch.float64)
    return [
        Item(
            (i, 0), start_value(NOISE, SHAPE, seed=0, index=i, draw=0).double(), net(image[None])[0]
        )
        for i, image in enumerate(images)
    ]


def run(
    net: Callable[[Tensor], Tensor],
    work: Iterable[Item],
    rule: Rule,
    *,
    passes: int,
    tolerance: float = 1e-9,
    batch: int = 4,
    **options: Any,
) -> list[Inverted]:
    space, watch = options.pop("space", (1, 2)), options.pop("watch", None)
    domain = Domain(options.pop("constraint", Box()), space, (0.0, 1.0))
    plan = Plan(rule, domain, passes, tolerance, **options)
    found = descend(lambda x, _: net(x), work, plan, batch_size=batch, watch=watch)
    return sorted(found, key=lambda r: r.key)


def errors(net: Callable[[Tensor], Tensor], work: list[Item], found: list[Inverted]) -> Tensor:
    return relative_error(
        net(torch.stack([r.value for r in found])), torch.stack([w.target for w in work])
    )


def same(one: list[Inverted], other: list[Inverted]) -> bool:
    """Whether two runs have the same outcome, bit for bit."""
    return len(one) == len(other) and all(
        (a.key, a.passes, a.finite) == (b.key, b.passes, b.finite)
        and torch.equal(a.value.nan_to_num(nan=-7), b.value.nan_to_num(nan=-7))
        for a, b in zip(one, other, strict=True)
    )
