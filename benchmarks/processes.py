"""Images per second of two processes against one, and how long processes wait for each other.

    python benchmarks/processes.py [--rounds 3]

Every process has one thread and a core of its own. `throughput`: 128 embedded images, 60 passes
each. `difficulty`: 200 images that stop at a relative error of .1, after very different numbers of
passes. `slow`: the same, while another program computes on the second process's core; and with four
draws, a longer run. One process
and two take turns; time runs from when the first begins to invert to when the last has ended, and
`idle` is the share of that time, mean over the processes, after a process had nothing left to do.
Writes benchmarks/results/processes.json. Alone on the machine.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent / "results" / "processes.json"
CASES: dict[str, dict[str, Any]] = {
    "throughput": {"num_samples": 128, "steps": 60, "tolerance": 1e-6, "batch_size": 16},
    "difficulty": {"num_samples": 200, "steps": 200, "tolerance": 0.1, "batch_size": 16},
    "slow": {"num_samples": 200, "steps": 200, "tolerance": 0.1, "batch_size": 16},
    "slow, four draws": {
        "num_samples": 200,
        "draws": 4,
        "steps": 200,
        "tolerance": 0.1,
        "batch_size": 16,
    },
}
SPIN = "import os; os.sched_setaffinity(0, {1})\nwhile True: pass"


def work(case: str) -> None:
    """Code of one process: a short run to warm up, and the timed run."""
    rank = int(os.environ.get("RANK", "0"))
    os.sched_setaffinity(0, {rank})
    import stir_hf
    from stir_hf.demo import IMAGES, model_path
    from stir_hf.job.making import Making
    from stir_hf.runtime import Processes

    span: list[float] = []
    make = Making.run

    def timed(making: Making) -> None:
        making.processes.wait()
        span.append(time.time())
        make(making)
        span.append(time.time())

    options: dict[str, Any] = {"progress": False, "device": "cpu", **CASES[case]}
    reference = model_path("robust-0")
    stir_hf.invert(reference, str(IMAGES), **{**options, "num_samples": 16, "steps": 5})
    Making.run = timed  # type: ignore[method-assign]  # the same, timed
    stir_hf.invert(reference, str(IMAGES), **options)
    processes = Processes("cpu")
    spans = processes.exchange(tuple(span))
    if processes.main:
        print(json.dumps(spans), flush=True)


def run(case: str, count: int) -> dict[str, float]:
    """Images per second and idle share of one run."""
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, "--work", case]
    if count > 1:
        launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
        command[1:1] = launcher
    spinning = subprocess.Popen([sys.executable, "-c", SPIN]) if case.startswith("slow") else None
    try:
        told = subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout
    finally:
        if spinning:
            spinning.kill()
            spinning.wait()
    begun, ended = np.array(json.loads(told.splitlines()[-1])).T
    seconds = ended.max() - begun.min()
    return {
        "images_per_second": CASES[case]["num_samples"] * CASES[case].get("draws", 1) / seconds,
        "idle": float(((ended.max() - ended) / seconds).mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        work(args.work)
        return
    import torch

    from stir_hf.runtime import environment

    found: dict[str, Any] = {}
    for case in CASES:
        rounds = [(run(case, 1), run(case, 2)) for _ in range(args.rounds)]
        ratios = [two["images_per_second"] / one["images_per_second"] for one, two in rounds]
        found[case] = {
            "one": [one["images_per_second"] for one, _ in rounds],
            "two": [two["images_per_second"] for _, two in rounds],
            "ratio": float(np.median(ratios)),
            "idle": float(np.median([two["idle"] for _, two in rounds])),
        }
        print(case, found[case], flush=True)
    found["environment"] = environment(torch.device("cpu"))
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
