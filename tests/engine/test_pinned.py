"""What each registered part computes, pinned by its version: a set of inversions is known by name
and version alone.
"""

from typing import Any

import pytest
import torch
from torch import Tensor

from stir_hf.engine import (
    CONSTRAINTS,
    RULES,
    STARTS,
    Box,
    Context,
    Domain,
    Item,
    Plan,
    Rule,
    descend,
    start_value,
)
from stir_hf.registry import Registry

PINNED_STARTS: dict[tuple[str, int], list[float]] = {
    ("black", 1): [0, 0, 0, 0, 0, 0, 0, 0],
    ("grey", 1): [
        0.506316781,
        0.602071702,
        0.554314613,
        0.534201264,
        0.527501285,
        0.281571686,
        0.522204578,
        0.556575418,
    ],
    ("noise", 1): [
        0.0631680712,
        1.02071679,
        0.543145835,
        0.342012346,
        0.27501294,
        -2.18428302,
        0.22204563,
        0.565754354,
    ],
    ("noise-same", 1): [
        1.43350244,
        -0.504517198,
        1.15869248,
        0.469409823,
        0.603856325,
        0.175340369,
        -1.30653787,
        -1.00085938,
    ],
    ("uniform", 1): [
        0.293474793,
        0.247056663,
        0.711542249,
        0.237721324,
        0.158646226,
        0.150900841,
        0.773778975,
        0.369395971,
    ],
    ("uniform-same", 1): [
        0.95040834,
        0.363557398,
        0.40554297,
        0.48791945,
        0.386454344,
        0.16568172,
        0.487420619,
        0.959740102,
    ],
    ("white", 1): [1, 1, 1, 1, 1, 1, 1, 1],
}
"""The first eight values for seed 5, index 3, draw 1."""

PINNED_RULES: dict[tuple[str, int], list[tuple[dict[str, Any], list[list[float]]]]] = {
    ("adam-polyak", 1): [
        (
            {"length": 0.5, "momentum": 0.9, "decay": 0.9},
            [
                [0.9, 0.0, 0.4],
                [0.5928898697, 0.30642577665, 0.0931755792799],
                [0.364968391812, 0.547475607435, 0.0],
                [0.194097911096, 0.741197727876, 0.0],
                [0.0786909318674, 0.884560088501, 0.0],
                [0.00588096179434, 0.988435408439, 0.0],
            ],
        ),
        (
            {"length": 2.0, "momentum": 0.9, "decay": 0.9, "half": 3.0},
            [
                [0.9, 0.0, 0.4],
                [0.0, 1.0, 0.0],
                [0.0, 1.0, 0.0],
                [0.0, 1.0, 0.0],
                [0.0, 1.0, 0.0],
                [0.0, 1.0, 0.0],
            ],
        ),
        (
            {"length": 0.5, "momentum": 0.8, "decay": 0.9, "half": 3.0, "metric": "l2"},
            [
                [0.9, 0.0, 0.4],
                [0.488458349721, 0.0911798865888, 0.233042234692],
                [0.201305928736, 0.182746187267, 0.122136905385],
                [0.0264686691431, 0.30980561508, 0.0688720241305],
                [0.0, 0.41009785089, 0.0479726136029],
                [0.0, 0.488263957163, 0.0425758842523],
            ],
        ),
    ],
    ("metamer", 1): [
        (
            {"step_size": 1.0, "steps_per_run": 2, "pairs": 1000},
            [
                [0.9, 0.0, 0.4],
                [0.0, 0.201110532960, 0.0317503078909],
                [0.749498343756, 0.698588504010, 0.468520156791],
                [0.293225303126, 0.703006788741, 0.264080945454],
                [0.0, 0.746937073467, 0.0670250312435],
                [0.226338616685, 0.762649895333, 0.172019973125],
            ],
        )
    ],
    ("paper", 1): [
        (
            {"step_size": 0.5},
            [
                [0.9, -0.1, 0.4],
                [0.447878908699, 0.0137071008062, 0.219286929076],
                [0.0402053095623, 0.271389538548, 0.0873702970127],
                [0.392302099416, 0.553921594117, 0.302320263561],
                [0.0, 0.636586188884, 0.113804945978],
                [0.441170735648, 0.72802039298, 0.330618617839],
            ],
        )
    ],
    ("smooth", 1): [
        (
            {"length": 1.0, "half": 3.0, "momentum": 0.9, "decay": 0.8, "power": 0.5},
            [
                [0.9, 0.0, 0.4],
                [0.285779739399, 0.6128515533, 0.0],
                [0.0, 0.973335534424, 0.0],
                [0.0, 1.0, 0.0],
                [0.0, 1.0, 0.0],
                [0.0, 1.0, 0.0],
            ],
        )
    ],
}
"""The options, as they are spelt, and the iterates of `iterates`, for each of some choices."""

PINNED_CONSTRAINTS: dict[tuple[str, int], tuple[list[float], list[float]]] = {
    ("box", 1): ([0, 0, 0.25, 1, 1], [0, -2, 3, 0, 5]),
    ("none", 1): ([-0.5, 0, 0.25, 1, 1.5], [1, -2, 3, -4, 5]),
}
"""Where `constrained` finds five points, and what is left of a gradient there."""


NEEDED = {
    "l2": "l2:radius=0.5",
    "linf": "linf:radius=0.3",
    "controversial": "controversial:model=a/b",
    "ensemble": "ensemble:models=a/b",
}
"""How parts are asked for that have no default for some option."""


def parts(registry: Registry[Any], but: tuple[str, ...] = ()) -> list[tuple[str, int]]:
    """(name, version) of the parts that the package brings."""
    own = [n for n in registry.names if type(part(registry, n)).__module__.startswith("stir_hf.")]
    return [(n, registry.spelling(part(registry, n))["version"]) for n in own if n not in but]


def part(registry: Registry[Any], name: str) -> Any:
    return registry.parse(NEEDED.get(name, name))


def drawn(name: str) -> Tensor:
    return start_value(STARTS.parse(name), (8,), seed=5, index=3, draw=1)


def iterates(rule: Rule) -> Tensor:
    """The start and five iterates of x ↦ A x from a corner region of the unit square, (6, 3)."""
    matrix = torch.tensor([[1.0, 2.0], [-1.0, 0.5], [0.25, 1.0]], dtype=torch.float64)
    start = torch.tensor([0.9, -0.1, 0.4], dtype=torch.float64)
    target = torch.tensor([0.2, 0.8, 0.1], dtype=torch.float64) @ matrix
    seen: list[Tensor] = []

    def represent(x: Tensor, context: Context) -> Tensor:
        seen.append(x.detach())
        return x @ matrix

    plan = Plan(rule, Domain(Box(), (0,)), 5, 1e-12)
    list(descend(represent, [Item((0, 0), start, target)], plan, batch_size=1))
    return torch.cat(seen)


def constrained(name: str) -> tuple[Tensor, Tensor]:
    """Where it puts five points, and what it leaves of a gradient there."""
    constraint = part(CONSTRAINTS, name)
    origin = torch.full((1, 5), 0.5, dtype=torch.float64)
    x = constraint.project(torch.tensor([[-0.5, 0.0, 0.25, 1.0, 1.5]], dtype=torch.float64), origin)
    gradient = torch.tensor([[1.0, -2.0, 3.0, -4.0, 5.0]], dtype=torch.float64)
    return x[0], constraint.free(x, gradient, origin)[0]


def changed(kind: str, name: str, version: int) -> str:
    return (
        f"the numbers of {kind} {name!r} are no longer those of its version {version}: raise the"
        " version where it is "
        "registered, and pin the new figures here beside the old ones"
    )


def unknown(kind: str, name: str, version: int) -> str:
    return f"no figures are pinned for {kind} {name!r}, version {version}: pin them here"


@pytest.mark.parametrize(("name", "version"), parts(STARTS, but=("given", "other")))
def test_starts(name: str, version: int) -> None:
    assert (name, version) in PINNED_STARTS, unknown("start", name, version)
    expected = torch.tensor(PINNED_STARTS[name, version], dtype=torch.float32)
    assert torch.allclose(drawn(name), expected, rtol=1e-6), changed("start", name, version)


@pytest.mark.parametrize(("name", "version"), parts(RULES))
def test_rules(name: str, version: int) -> None:
    assert (name, version) in PINNED_RULES, unknown("method", name, version)
    for options, figures in PINNED_RULES[name, version]:  # as spelt then, as defaults may change
        rule = RULES.build({"name": name, "version": version, **options})
        expected = torch.tensor(figures, dtype=torch.float64)
        assert torch.allclose(iterates(rule), expected, rtol=1e-9), changed("method", name, version)


@pytest.mark.parametrize(("name", "version"), parts(CONSTRAINTS))
def test_constraints(name: str, version: int) -> None:
    assert (name, version) in PINNED_CONSTRAINTS, unknown("constraint", name, version)
    for found, expected in zip(constrained(name), PINNED_CONSTRAINTS[name, version], strict=True):
        assert torch.allclose(found, torch.tensor(expected).double()), changed(
            "constraint", name, version
        )
