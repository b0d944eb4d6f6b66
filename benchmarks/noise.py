"""How far the scores of the demo move with the number of threads: `stir-hf demo` with one and two.

    python benchmarks/noise.py

Sums are added in another order, and a hundred steps amplify that. Writes
benchmarks/results/noise.json.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from stir_hf.runtime import environment

RESULTS = Path(__file__).parent / "results" / "noise.json"


def scores(threads: int) -> dict[str, Any]:
    """STIR and its debiased form, by pair."""
    with TemporaryDirectory() as out:
        command = [sys.executable, "-m", "stir_hf", "demo", "--json", "--out", out]
        env = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        told = subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout
    found = json.loads(told)["scores"]
    return {f"{s['model']} | {s['reference']}": (s["stir"], s["debiased"]["stir"]) for s in found}


def main() -> None:
    one, two = scores(1), scores(2)
    moved = np.array([np.subtract(two[pair], one[pair]) for pair in one])
    found = {
        "largest": float(abs(moved[:, 0]).max()),
        "root_mean_square": float(np.sqrt((moved[:, 0] ** 2).mean())),
        "largest_debiased": float(abs(moved[:, 1]).max()),
        "one_thread": {pair: values[0] for pair, values in one.items()},
        "two_threads": {pair: values[0] for pair, values in two.items()},
        "environment": environment(torch.device("cpu")),
    }
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    print({name: value for name, value in found.items() if name.startswith(("largest", "root"))})


if __name__ == "__main__":
    main()
