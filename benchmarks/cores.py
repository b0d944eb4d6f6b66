"""Speed of a run without options against every split of the cores into processes and threads.

    python benchmarks/cores.py [--rounds 3] [--large DIR --photos DIR] [--patience 60]

A split is `--num-processes p` with cores / p threads each; p = 1 is the run without options.
"within operations" uses the threads within each operation only, instead of dividing rows among
them; "one thread" uses one core. Runs take turns, each in new processes; a short run comes first
and the time is that of `stir_hf.invert` alone, until the last process has ended. A network of 28
pixels (200 images, 200 passes) and, with `--large`, one over photographs (32 images, 30 passes).

Writes benchmarks/results/cores.json: images per second, the CPUs that other programs used meanwhile
(`others`), and by round the speed of the default relative to the best split. Each run first waits
for others to use less than a tenth of a CPU, for `--patience` seconds at most.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil

RESULTS = Path(__file__).parent / "results" / "cores.json"
CORES = len(os.sched_getaffinity(0))
SPLITS = {
    **{f"{p} x {CORES // p}": (p, CORES // p, True) for p in range(1, CORES + 1) if CORES % p == 0},
    "within operations": (1, CORES, False),
    "one thread": (1, 1, True),
}
DEFAULT = f"1 x {CORES}"
SIZES = {"small": (200, 200), "large": (32, 30)}


def busy() -> float:
    """Seconds that all programs together have computed."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0))


def work(model: str, data: str, images: int, passes: int, divided: bool) -> None:
    """Code of one process: a short run to warm up, and the timed run."""
    import stir_hf
    from stir_hf.models.run import opened
    from stir_hf.runtime import Processes

    if not divided:
        opened.workers = lambda _, __: 1
    options: dict[str, Any] = {"progress": False, "device": "cpu", "tolerance": 1e-6}
    stir_hf.invert(model, data, **options, num_samples=images, steps=2)
    processes = Processes("cpu")
    processes.wait()
    begun, used, all_used = time.time(), time.process_time(), busy()
    stir_hf.invert(model, data, **options, num_samples=images, steps=passes)
    seen = processes.exchange((begun, time.time(), time.process_time() - used))
    if processes.main:
        first, last, own = np.array(seen).T
        seconds = last.max() - first.min()
        others = max(0.0, (busy() - all_used - own.sum()) / seconds)
        print(json.dumps({"images_per_second": images / seconds, "others": others}), flush=True)


def run(case: list[str], count: int, threads: int, divided: bool) -> dict[str, float]:
    """Speed of one run."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    env |= {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
    command = [sys.executable, __file__, "--work", *case, str(int(divided))]
    if count > 1:
        launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
        command[1:1] = launcher
    done = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return {name: round(value, 3) for name, value in found.items()}


def wait_until_idle(patience: float) -> None:
    """Wait until other programs use less than a tenth of a CPU."""
    end = time.time() + patience
    while time.time() < end:
        before = busy()
        time.sleep(1)
        if busy() - before < 0.1:
            return


def measured(case: list[str], rounds: int, patience: float) -> dict[str, Any]:
    """Speeds of all splits in turn, and how the default compares."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in SPLITS}
    for _ in range(rounds):
        for name, split in SPLITS.items():
            wait_until_idle(patience)
            found[name].append(run(case, *split))
            print(case[0], name, found[name][-1], flush=True)
    speed = {name: [one["images_per_second"] for one in runs] for name, runs in found.items()}
    ratios = [
        speed[DEFAULT][i] / max(speed[name][i] for name in SPLITS if name != DEFAULT)
        for i in range(rounds)
    ]
    return {
        "splits": found,
        "ratios": [round(ratio, 3) for ratio in sorted(ratios)],
        "ratio": round(median(ratios), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--large")
    parser.add_argument("--photos")
    parser.add_argument("--patience", type=float, default=60)
    parser.add_argument("--work", nargs=5, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        model, data, *numbers = args.work
        images, passes, divided = map(int, numbers)
        work(model, data, images, passes, bool(divided))
        return
    import torch

    from stir_hf.demo import IMAGES, model_path
    from stir_hf.runtime import environment

    cases = {"small": (model_path("robust-0"), str(IMAGES))}
    if args.large and args.photos:
        cases["large"] = (args.large, args.photos)
    found: dict[str, Any] = {"cores": CORES}
    for name, (model, data) in cases.items():
        case = [model, data, *map(str, SIZES[name])]
        found[name] = {"network": Path(model).name, **measured(case, args.rounds, args.patience)}
        print(name, found[name]["ratios"], flush=True)
    found["environment"] = environment(torch.device("cpu"))
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
