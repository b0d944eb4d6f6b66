"""Differences of the demo's scores between machines: `stir-hf demo` with one thread, with two, and
as on an older processor without AVX.

    python benchmarks/noise.py

The order of additions differs, and a hundred steps amplify that. Each run is compared with the one
with one thread; `pixels` is the share of pixels of the stored inversions that differ. Writes
benchmarks/results/noise.json.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from stir_hf import Inversions
from stir_hf.runtime import environment

RESULTS = Path(__file__).parent / "results" / "noise.json"
OLDER = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"}
RUNS = {
    "one thread": {"OMP_NUM_THREADS": "1"},
    "two threads": {"OMP_NUM_THREADS": "2"},
    "one thread, SSE4.1": {"OMP_NUM_THREADS": "1", **OLDER},
}


@dataclass(frozen=True)
class Run:
    """Result of one `stir-hf demo`."""

    scores: dict[str, tuple[float, float]]
    """STIR and its debiased form, by pair."""
    pixels: list[np.ndarray]
    """The stored inversions, one array per reference."""
    environment: dict[str, Any]


def demo(settings: dict[str, str]) -> Run:
    with TemporaryDirectory() as out:
        command = [sys.executable, "-m", "stir_hf", "demo", "--json", "--out", out]
        env = {**os.environ, **settings}
        told = subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout
        pixels = [one.inverted[:] for one in Inversions.load_all(out)]
    found = json.loads(told)
    scores = {
        f"{s['model']} | {s['reference']}": (s["stir"], s["debiased"]["stir"])
        for s in found["scores"]
    }
    return Run(scores, pixels, found["environment"])


def moved(base: Run, other: Run) -> dict[str, Any]:
    by = np.array([np.subtract(other.scores[pair], base.scores[pair]) for pair in base.scores])
    differ = [float((a != b).mean()) for a, b in zip(base.pixels, other.pixels, strict=True)]
    return {
        "largest": float(abs(by[:, 0]).max()),
        "root_mean_square": float(np.sqrt((by[:, 0] ** 2).mean())),
        "largest_debiased": float(abs(by[:, 1]).max()),
        "pixels": float(np.mean(differ)),
        "environment": other.environment,
    }


def main() -> None:
    runs = {name: demo(settings) for name, settings in RUNS.items()}
    base, *_ = runs.values()
    found = {
        "against_one_thread": {n: moved(base, run) for n, run in runs.items() if run is not base},
        "stir": {name: {p: v[0] for p, v in run.scores.items()} for name, run in runs.items()},
        "environment": environment(torch.device("cpu")),
    }
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    for name, row in found["against_one_thread"].items():
        print(name, {k: v for k, v in row.items() if k != "environment"})


if __name__ == "__main__":
    main()
