"""Coverage of the intervals in simulations with a known CKA; benchmarks/results/coverage.json.

X = u Λ and Y = (ρ u + √(1 - ρ²) v) Λ, u and v Gaussian, have the CKA ρ². Each draw has noise of
its own in half of the variance of v; the rows of a cluster share half of that of u and v.
"""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stir_hf.results.left_out import LeftOut, mean_of
from stir_hf.similarity import MEASURES, OfPairs
from stir_hf.similarity.kernels import clusters_of
from tests.conftest import ROOT
from tests.similarity.test_null import kept

RESULTS = ROOT / "benchmarks" / "results" / "coverage.json"
WIDTH, RUNS = 20, 3000
SPECTRUM = 1 / np.sqrt(np.arange(1, WIDTH + 1))
MEASURE: Any = MEASURES.parse("linear_cka")

Matrix = NDArray[np.float64]


def sides(
    rng: np.random.Generator, n: int, true: float, draws: int, together: int
) -> Iterator[tuple[Matrix, Matrix]]:
    """The two sides of each draw, rows of a cluster one after the other."""

    def normal() -> Matrix:
        shared = np.repeat(rng.normal(size=(n, WIDTH)), together, 0)
        own = rng.normal(size=(n * together, WIDTH))
        return (shared + own) / np.sqrt(2) if together > 1 else shared

    u, v = normal(), normal()
    for _ in range(draws):
        noise = (v + normal()) / np.sqrt(2) if draws > 1 else v
        yield u * SPECTRUM, (np.sqrt(true) * u + np.sqrt(1 - true) * noise) * SPECTRUM


def left_out(pairs: Iterator[tuple[Matrix, Matrix]], together: int) -> LeftOut:
    found = []
    for x, y in pairs:
        labels = np.arange(len(x)) // together
        kernels = MEASURE.kernels(kept(x, y))
        without = kernels.debiased_without(clusters_of(labels)).numpy()
        found.append((np.unique(labels), LeftOut(kernels.debiased(), without)))
    return mean_of(found)[1]


@pytest.mark.verify
def test_intervals_contain_the_true_value_as_often_as_they_say() -> None:
    assert isinstance(MEASURE, OfPairs)
    rng, cases = np.random.default_rng(0), []
    plan = [
        (n, true, draws, 1)
        for n in (50, 200, 1000)
        for true in (0.07, 0.5, 0.8)
        for draws in (1, 4)
    ]
    plan += [(n, true, 1, 4) for n in (50, 200) for true in (0.07, 0.5, 0.8)]
    for n, true, draws, together in plan:
        runs = RUNS if n < 1000 else RUNS // 2
        inside, widths = 0, []
        for _ in range(runs):
            low, high = left_out(sides(rng, n, true, draws, together), together).interval(0.95)
            inside += low <= true <= high
            widths.append(high - low)
        case = {"n": n, "cka": true, "draws": draws, "rows_per_cluster": together, "runs": runs}
        case |= {"coverage": inside / runs, "width": float(np.mean(widths))}
        cases.append(case)
    RESULTS.write_text(json.dumps({"level": 0.95, "width": WIDTH, "cases": cases}, indent=1) + "\n")
    for case in cases:
        assert 0.93 <= case["coverage"] <= 0.97, case
