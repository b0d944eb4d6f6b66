"""Parts that somebody else adds: a constraint and a measure from outside the package, used by
name.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

import stir_hf
from stir_hf.demo import IMAGES, model_path
from stir_hf.engine import CONSTRAINTS, Constraint
from stir_hf.engine.constraints.base import Around
from stir_hf.registry import Registry, option
from stir_hf.similarity import MEASURES, Bounds, Closer

STANDARD, ROBUST = model_path("standard-0"), model_path("robust-0")
QUICK: dict[str, Any] = {"num_samples": 6, "steps": 8, "progress": False}


@dataclass(frozen=True)
class NearBall(Constraint):
    """Within a distance of the image, in L2, and in [0, 1]."""

    around: Around = "original"
    radius: float = option(2.0, "Distance in L2.")

    def project(self, x: Tensor, origin: Tensor | None) -> Tensor:
        assert origin is not None
        away = x - origin
        length = away.flatten(1).norm(dim=1).clamp_min(1e-12)
        scale = (self.radius / length).clamp_max(1).view(-1, *[1] * (x.ndim - 1))
        near: Tensor = origin + away * scale
        return near.clamp(0, 1)

    def free(self, x: Tensor, gradient: Tensor, centre: Tensor | None) -> Tensor:
        return gradient


class FirstColumns:
    """How often the first values have the same sign."""

    def __init__(self) -> None:
        self.n = self.same = 0

    def update(self, x: Any, y: Any) -> None:
        self.n += len(x)
        self.same += int((torch.as_tensor(x)[:, 0] * torch.as_tensor(y)[:, 0] >= 0).sum())

    def merge(self, other: "FirstColumns") -> None:
        self.n, self.same = self.n + other.n, self.same + other.same

    def value(self) -> float:
        return self.same / self.n

    def debiased(self) -> float:
        raise AssertionError("it has none")


@dataclass(frozen=True)
class SameSign:
    """Share of images whose first values have the same sign."""

    least_rows: ClassVar[int] = 2
    has_debiased: ClassVar[bool] = False
    bounds: ClassVar[Bounds] = (0.0, 1.0)
    closer: ClassVar[Closer] = "larger"

    def accumulator(self) -> FirstColumns:
        return FirstColumns()


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    CONSTRAINTS.add("near-ball")(NearBall)
    MEASURES.add("same_sign")(SameSign)
    yield
    for registry, name in ((CONSTRAINTS, "near-ball"), (MEASURES, "same_sign")):
        registry.remove(name)


@pytest.mark.verify
def test_compare_with_a_constraint_and_a_measure_from_outside(tmp_path: Any) -> None:
    asked: dict[str, Any] = {
        "constraint": "near-ball:radius=1.5",
        "measure": "same_sign",
        "out": tmp_path,
    }
    result = stir_hf.compare(STANDARD, ROBUST, str(IMAGES), **asked, **QUICK)
    for score in result.scores:
        assert score.measure == "same_sign"
        assert score.debiased is None
        assert "same_sign has no debiased form" in score.notes
        assert score.ceiling is not None
        assert score.ceiling >= 0.5
    assert result.config["constraint"] == "near-ball:radius=1.5"
    for inversions in stir_hf.Inversions.load_all(tmp_path):
        away = (inversions.inverted - inversions.image).reshape(len(inversions), -1)
        assert np.linalg.norm(away, axis=1).max() <= 1.5 + 0.5 / 255 * 28
        constraint = inversions.manifest.identity["engine"]["constraint"]
        assert constraint == {"name": "near-ball", "version": 1, "radius": 1.5}


@pytest.mark.parametrize("start", ["noise", "given"])
def test_the_floor_is_that_of_starts_within_the_constraint(start: str) -> None:
    """In a ball of no size a start is the image itself."""
    more: dict[str, Any] = {"constraint": "near-ball:radius=0.001", "start": start}
    if start == "given":
        more["starts"] = torch.randn(6, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    made = stir_hf.invert(ROBUST, str(IMAGES), **more, **QUICK)
    (score,) = stir_hf.score(STANDARD, made, progress=False).scores
    assert score.floor == pytest.approx(1, abs=1e-4)
    CONSTRAINTS.remove("near-ball")
    (score,) = stir_hf.score(STANDARD, made, progress=False).scores
    CONSTRAINTS.add("near-ball")(NearBall)
    assert score.floor is None
    assert any("floor undefined: constraint 'near-ball' is unknown" in n for n in score.notes)


def test_naming_the_default_constraint_changes_nothing(tmp_path: Any) -> None:
    made = stir_hf.invert(ROBUST, str(IMAGES), out=tmp_path, constraint="box", **QUICK)
    assert made.manifest.identity["engine"]["constraint"] == {"name": "box", "version": 1}
    again = stir_hf.invert(ROBUST, str(IMAGES), out=tmp_path, **QUICK)
    assert again.manifest.hash == made.manifest.hash


class Toy:
    """What a registry of toys holds."""


def test_a_registry_spells_what_identifies_a_part() -> None:
    toys: Registry[Any] = Registry("toy")

    @toys.add("car", version=3)
    @dataclass(frozen=True)
    class Car:
        """Drives. And more."""

        wheels: int = option(4, "How many.")
        red: bool = option(True, "Whether it is red.", neutral=False)

    car = toys.parse("car:wheels=3,red=false")
    assert car == Car(3, False)
    assert toys.text(car) == "car:wheels=3,red=false"
    assert toys.parse(toys.text(car)) == car
    assert toys.spelling(car) == {"name": "car", "version": 3, "wheels": 3}
    assert toys.spelling(Car()) == {"name": "car", "version": 3, "wheels": 4, "red": True}
    assert toys.build(toys.spelling(car)) == car  # left out: its neutral value, not its default
    assert toys.describe("car") == "Drives. And more (wheels=4, red=true)"
    with pytest.raises(stir_hf.RequestError, match="is of version 2; this stir-hf has 3"):
        toys.build({"name": "car", "version": 2})
    for text, said in (
        ("cat", "toy 'cat' is unknown; did you mean car"),
        ("car:weels=2", "has no option 'weels'; did you mean wheels"),
        ("car:red=maybe", "must be of type bool, not 'maybe'"),
    ):
        with pytest.raises(stir_hf.RequestError, match=said):
            toys.parse(text)
    with pytest.raises(stir_hf.RequestError, match="toy must be one of car"):
        toys.parse(Toy())
    with pytest.raises(ValueError, match="is taken by"):
        toys.add("car")(Toy)
    with pytest.raises(ValueError, match="a name is lower-case letters"):
        toys.add("Big Car")(Toy)
