"""Errors of inversions of networks at real size, by passes.

    python benchmarks/real.py --photos DIR [--num-images 16] MODEL [MODEL …]

For each network and method: the mean and the median over images of the least relative error after
50, 100, 150 and 200 passes; of 200 passes, what the last hundred gained. Seed 0. Writes
benchmarks/results/real.json.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from networks import case, descent

from stir_hf.engine import InversionConfig
from stir_hf.runtime import environment

RESULTS = Path(__file__).parent / "results" / "real.json"
METHODS = ("adam-polyak:length=0.5,half=0,decay=0.9", "adam-polyak", "smooth")
"""The default before it fell, the default, and smooth."""
SHOWN = (50, 100, 150, 200)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="+")
    parser.add_argument("--photos", required=True)
    parser.add_argument("--num-images", type=int, default=16)
    args = parser.parse_args()
    rows: dict[str, Any] = {}
    for model in args.models:
        with case(model, args.num_images, args.photos) as one:
            row = rows.setdefault(one.name, {})
            for method in METHODS:
                config = InversionConfig(method=method)
                course = descent(one, one.starts(0, config.start), config.method, SHOWN[-1])
                medians = {str(k): float(course.best[k - 1].median()) for k in SHOWN}
                row[method] = {"mean": course.after(SHOWN), "median": medians}
                print(one.name, method, row[method], flush=True)
    found = {
        "num_images": args.num_images,
        "seed": 0,
        "networks": rows,
        "environment": environment(torch.device("cpu")),
    }
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
