"""The registry of measures: what each promises, figures that may not change unnoticed, a measure
from outside.
"""

import pickle
import sys
from dataclasses import dataclass
from pkgutil import iter_modules
from typing import Any, ClassVar

import numpy as np
import pytest

import stir_hf.similarity.measures
from stir_hf.errors import RequestError
from stir_hf.registry import option
from stir_hf.similarity import (
    MEASURES,
    Accumulator,
    Bounds,
    Closer,
    ConstantError,
    Measure,
)

BUILT_IN = MEASURES.names
PINNED = {
    ("linear_cka", 1): {"value": 0.5299327521623369, "debiased": 0.38264545687099266},
    ("svcca", 1): {"value": 0.8506215623294325},
    ("pwcca", 1): {"value": 0.8768423358604615},
    ("column_cka", 1): {"value": 3.716660099469191},
    ("minibatch_cka", 1): {"value": 0.7092627734562122},
    ("mutual_knn", 1): {"value": 0.95},
    ("cknna", 1): {"value": 0.9430715058509572},
    ("procrustes", 1): {"value": 0.34550259720860566},
    ("rbf_cka", 1): {"value": 0.7421377069301923, "debiased": 0.5989340970835317},
    ("rsa", 1): {"value": 0.2053856591170024},
}
"""What each measure, at its defaults, says of `fixed()`, by name and version."""


def fixed() -> tuple[np.ndarray, np.ndarray]:
    """Two sides of 12 rows, shapes (12, 4) and (12, 3), from whole numbers alone."""
    i, j, k = np.arange(12)[:, None], np.arange(4), np.arange(3)
    x = (i * i + 3 * i * j + 5 * j) % 11 / 4
    return x, x[:, :3] + (2 * i * i + i * k + k) % 7 / 2


@pytest.mark.parametrize("name", BUILT_IN)
def test_figures_change_only_with_the_version(name: str) -> None:
    measure = MEASURES.parse(name)
    key = name, MEASURES.spelling(measure)["version"]
    assert key in PINNED, f"enter the figures of {key} in PINNED"
    seen = measure.accumulator()
    x, y = fixed()
    if name != "linear_cka":  # some need columns that vary together, and rows that are not constant
        i, j = np.arange(12)[:, None], np.arange(4)
        more = i**2 % 7 + (i * j + j) % 3 + j * j
        x, y = x + more, y + more[:, :3]
    seen.update(x, y)
    found = {"value": seen.value()}
    if measure.has_debiased:
        found["debiased"] = seen.debiased()
    assert found == pytest.approx(PINNED[key], rel=1e-12, abs=1e-12), (
        f"{name} gives other figures than before: raise its version and pin the new ones"
    )


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_measure_keeps_the_protocol(name: str) -> None:
    measure = MEASURES.parse(name)
    assert isinstance(measure, Measure)
    assert MEASURES.build(MEASURES.spelling(measure)) == measure
    assert MEASURES.describe(name)
    least = measure.least_rows
    random = np.random.default_rng(0)
    rows = random.normal(size=(2, least, 1)) + 0.1 * random.normal(size=(2, least, 3))
    seen = measure.accumulator()
    assert isinstance(seen, Accumulator)
    assert seen.n == 0
    seen.update(*rows)
    assert seen.n == least
    assert np.isfinite(seen.value())
    assert not measure.has_debiased or np.isfinite(seen.debiased())


@pytest.mark.parametrize("side", ["x", "y"])
@pytest.mark.parametrize("name", BUILT_IN)
def test_a_constant_side_is_told_apart(name: str, side: str) -> None:
    rows = {"x": np.random.default_rng(0).normal(size=(12, 3)), "y": np.eye(12)}
    seen = MEASURES.parse(name).accumulator()
    seen.update(**{**rows, side: np.full((12, 3), 0.1)})
    with pytest.raises(ConstantError, match=f"all rows of {side} are the same") as told:
        seen.value()
    again = pickle.loads(pickle.dumps(told.value))
    assert (again.side, str(again)) == (side, str(told.value))
    assert isinstance(again, ValueError)


def test_every_module_of_the_folder_is_imported() -> None:
    folder = stir_hf.similarity.measures
    names = [f"{folder.__name__}.{module.name}" for module in iter_modules(folder.__path__)]
    assert len(names) > 7
    assert all(name in sys.modules for name in names)


class _Sum:
    """Power sums of the rows' dot products: enough to be a measure."""

    def __init__(self, power: int) -> None:
        self.n, self.total, self.power = 0, 0.0, power

    def update(self, x: Any, y: Any) -> None:
        self.n += len(x)
        self.total += float(((np.asarray(x) * np.asarray(y)).sum(1) ** self.power).sum())

    def merge(self, other: "_Sum") -> None:
        self.n, self.total = self.n + other.n, self.total + other.total

    def value(self) -> float:
        return self.total / self.n

    def debiased(self) -> float:
        raise NotImplementedError


def test_a_measure_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MEASURES, "_entries", dict(MEASURES._entries))

    @MEASURES.add("toy")
    @dataclass(frozen=True)
    class Toy:
        """A mean of powers."""

        least_rows: ClassVar[int] = 1
        has_debiased: ClassVar[bool] = False
        bounds: ClassVar[Bounds] = (0.0, 1.0)
        closer: ClassVar[Closer] = "larger"
        power: int = option(1, "the power")

        def accumulator(self) -> _Sum:
            return _Sum(self.power)

    measure = MEASURES.parse("toy:power=2")
    assert measure == Toy(2)
    assert MEASURES.text(measure) == "toy:power=2"
    parts = [measure.accumulator() for _ in range(2)]
    for part, rows in zip(parts, np.arange(12.0).reshape(2, 3, 2), strict=True):
        part.update(rows, rows)
    parts[0].merge(parts[1])
    assert (parts[0].n, parts[0].value()) == (6, float(np.mean([1, 169, 1681, 7225, 21025, 48841])))
    with pytest.raises(RequestError, match="no option 'pow'"):
        MEASURES.parse("toy:pow=2")
