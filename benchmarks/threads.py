"""Cost of waiting threads: one inversion with and without `OMP_WAIT_POLICY=PASSIVE`, alone and
beside other work.

    python benchmarks/threads.py [--rounds 5] [--num-images 32] [--steps 60]

Each run is a process of its own, as the command line starts it; the settings take turns. "Busy" is
one other process that multiplies matrices on one thread all the while. Writes
benchmarks/results/threads.json: medians in seconds, and ratios passive / active. The command line
sets PASSIVE unless the user has set one; from Python, set it before torch is loaded.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "threads.json"
POLICIES = ("ACTIVE", "PASSIVE")

RUN = """
import sys, time
import stir_hf
from stir_hf.demo import IMAGES, model_path
encoder = stir_hf.load_encoder(model_path("robust-0"), device="cpu")
options = {"num_samples": int(sys.argv[1]), "steps": int(sys.argv[2]), "progress": False}
stir_hf.invert(encoder, str(IMAGES), **{**options, "steps": 2})
start = time.perf_counter()
stir_hf.invert(encoder, str(IMAGES), **options)
print(time.perf_counter() - start)
"""

BUSY = """
import torch
torch.set_num_threads(1)
x = torch.randn(500, 500)
while True:
    x = (x @ x).clamp(-1, 1)
"""


@contextmanager
def other_work(busy: bool) -> Iterator[None]:
    if not busy:
        yield
        return
    process = subprocess.Popen([sys.executable, "-c", BUSY])
    time.sleep(3)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def seconds(policy: str, images: int, steps: int) -> float:
    """One run: OMP_WAIT_POLICY unset is what libgomp takes for active on an idle machine."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    env |= {"OMP_WAIT_POLICY": policy} if policy == "PASSIVE" else {}
    command = [sys.executable, "-c", RUN, str(images), str(steps)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--num-images", type=int, default=32)
    parser.add_argument("--steps", type=int, default=60)
    args = parser.parse_args()
    found: dict[str, object] = {**vars(args), "cpus": os.cpu_count(), "machine": platform.machine()}
    for busy in (False, True):
        times: dict[str, list[float]] = {policy: [] for policy in POLICIES}
        with other_work(busy):
            for _ in range(args.rounds):
                for policy in POLICIES:
                    times[policy].append(seconds(policy, args.num_images, args.steps))
        ratios = [p / a for a, p in zip(times["ACTIVE"], times["PASSIVE"], strict=True)]
        row = {
            **{policy.lower(): round(statistics.median(t), 3) for policy, t in times.items()},
            "ratio": round(statistics.median(ratios), 3),
            "ratios": [round(r, 3) for r in sorted(ratios)],
        }
        print("busy" if busy else "idle", row, flush=True)
        found["busy" if busy else "idle"] = row
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
