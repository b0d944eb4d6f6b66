"""Memory of the accumulators of one score where representations are wide, against their rows.

    python benchmarks/wide.py [--rows 300] [--width 102400] [--batch-size 32]

The four anchors of a score (stir, similarity, ceiling, floor) see five sides between them: batches
of float32 rows go into four accumulators as in judging, then each says its value and its debiased
value. Rows are the bytes of those five sides. The figure is the largest private memory (`RssAnon`)
that was seen every 5 ms, less that before the first batch, in a process of its own. Writes
benchmarks/results/wide.json: bytes, and the ratio of both.
"""

import argparse
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import torch
from memory import private

from stir_hf.runtime import environment
from stir_hf.scoring.representations import add
from stir_hf.similarity import LinearCKA

RESULTS = Path(__file__).parent / "results" / "wide.json"
SIDES = {"stir": (0, 1), "similarity": (2, 0), "ceiling": (2, 3), "floor": (0, 4)}


def work(rows: int, width: int, batch_size: int) -> dict[str, Any]:
    """One score's accumulators, in this process."""
    generator = torch.Generator().manual_seed(0)
    part = {name: LinearCKA() for name in SIDES}
    torch.ones(batch_size, width).double() @ torch.ones(width, 8).double()  # what torch loads
    before, seen, ended = private(), [0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.005):
            seen[0] = max(seen[0], private())

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    for start in range(0, rows, batch_size):
        count = min(batch_size, rows - start)
        batch = [torch.randn(count, width, generator=generator) for _ in range(5)]
        pairs = {name: (batch[i], batch[j]) for name, (i, j) in SIDES.items()}
        add(part, pairs, torch.ones(count, dtype=torch.bool))
    values = {name: (cka.value(), cka.debiased()) for name, cka in part.items()}
    ended.set()
    watching.join()
    kept = 5 * rows * width * 4
    return {
        "bytes": {"rows": kept, "most": seen[0] - before},
        "ratio": (seen[0] - before) / kept,
        "values": values,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--width", type=int, default=102_400)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        print(json.dumps(work(args.rows, args.width, args.batch_size)), flush=True)
        return
    command = [sys.executable, __file__, *sys.argv[1:], "--work"]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    asked = {name: value for name, value in vars(args).items() if name != "work"}
    found = {**asked, **json.loads(told), "environment": environment(torch.device("cpu"))}
    print(found["bytes"], found["ratio"], flush=True)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
