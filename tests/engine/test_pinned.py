"""What each registered part computes, pinned by its version: a set of inversions is known by name
and version alone.
"""

from typing import Any

import pytest
import torch
from torch import Tensor

from stir_hf.engine import (
    CONSTRAINTS,
    OBJECTIVES,
    RULES,
    STARTS,
    Box,
    Context,
    Domain,
    Item,
    Plan,
    Rule,
    descend,
    relative_error,
    start_value,
)
from stir_hf.engine.objectives import Seen
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
    ("mixture", 1): [
        1.433502436,
        -0.504517198,
        1.158692479,
        0.469409823,
        0.603856325,
        0.175340369,
        -1.306537867,
        -1.00085938,
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
    ("adam", 1): [
        (
            {"lr": 0.1, "decay": "cosine"},
            [
                [0.9, 0.0, 0.4],
                [0.800000000522, 0.0999999976421, 0.300000001288],
                [0.709582651672, 0.190554419498, 0.20960664685],
                [0.644211150944, 0.256215332564, 0.144291374166],
                [0.609750188273, 0.290973455855, 0.109891987873],
                [0.60023968731, 0.30061049937, 0.100408066002],
            ],
        ),
        (
            {"lr": 0.1, "decay": "none"},
            [
                [0.9, 0.0, 0.4],
                [0.800000000522, 0.0999999976421, 0.300000001288],
                [0.700037038171, 0.20011450418, 0.200063566507],
                [0.600168992606, 0.300445143175, 0.100289427697],
                [0.50052961535, 0.401099412362, 0.000905362411435],
                [0.401518803128, 0.502109797012, 0.0],
            ],
        ),
    ],
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
    ("smooth-linear", 1): [
        (
            {"length": 0.2, "momentum": 0.5, "decay": 0.8, "power": 0.5},
            [
                [0.9, 0.0, 0.4],
                [0.77715594788, 0.12257031066, 0.277270231712],
                [0.683694745969, 0.218076542593, 0.184165329751],
                [0.616180099883, 0.288774916748, 0.117135915168],
                [0.570376756919, 0.33780860882, 0.0718230532045],
                [0.542191752226, 0.368446454679, 0.0440196564251],
            ],
        )
    ],
}
"""The options, as they are spelt, and the iterates of `iterates`, for each of some choices."""

PINNED_CONSTRAINTS: dict[tuple[str, int], tuple[list[float], list[float]]] = {
    ("box", 1): ([0, 0, 0.25, 1, 1], [0, -2, 3, 0, 5]),
    ("fourier", 1): ([-0.5, 0, 0.25, 1, 1.5], [1, -2, 3, -4, 5]),
    ("l2", 1): (
        [0.187652476, 0.343826238, 0.421913119, 0.656173762, 0.812347524],
        [1, -2, 3, -4, 5],
    ),
    ("linf", 1): ([0.2, 0.2, 0.25, 0.8, 0.8], [0, -2, 3, 0, 5]),
    ("none", 1): ([-0.5, 0, 0.25, 1, 1.5], [1, -2, 3, -4, 5]),
}
"""Where `constrained` finds five points, and what is left of a gradient there."""

PINNED_OBJECTIVES: dict[tuple[str, int], float] = {
    ("relative_error", 1): 0.840337285638,
    ("cosine", 1): 0.364288565515,
    ("controversial", 1): 0.806875255803,
    ("ensemble", 1): 0.617080701868,
}
"""The loss of `judged` with weights of regularisers."""


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


def judged(name: str) -> float:
    """The loss of a fixed view with two models, with weights of 0.1 for the regularisers."""
    text = NEEDED.get(name, name)
    objective = OBJECTIVES.parse(f"{text}{',' if ':' in text else ':'}tv=0.1,l2=0.1,blur=0.1")
    x = torch.linspace(0, 1, 12, dtype=torch.float64).square().reshape(1, 1, 3, 4)
    one, two = (torch.linspace(a, 2, 5, dtype=torch.float64)[None] for a in (0.5, 1.5))
    pair = (one, two), (one.flip(1), two.sqrt())
    error = relative_error(pair[0][0], pair[1][0])
    view = Seen(x, error, *pair, Domain(Box(), (1, 2), (0.0, 1.0)))
    return float(objective.loss(view))


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


@pytest.mark.parametrize(("name", "version"), parts(OBJECTIVES))
def test_objectives(name: str, version: int) -> None:
    assert (name, version) in PINNED_OBJECTIVES, unknown("objective", name, version)
    expected = pytest.approx(PINNED_OBJECTIVES[name, version], rel=1e-9)
    assert judged(name) == expected, changed("objective", name, version)
