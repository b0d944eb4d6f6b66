"""Passes to the original's error, by network and method.

    python benchmarks/passes.py [--num-images 64] [--large-images 8] [--paper-passes 1000]
        [--models DIR …] [--large DIR … --photos DIR]

For each network: the mean over images of the least relative error after `--paper-passes` passes of
`method="paper"`, and the passes after which that of the default and of smooth is at or below it.
`--models` are further networks over the embedded images (`examples/train_demo_models.py` trains
them), `--large` networks over photographs. Seed 0. Writes benchmarks/results/passes.json.
"""

import argparse
import json
from pathlib import Path
from statistics import median
from typing import Any

import torch
from networks import case, descent

from stir_hf.demo import MODELS
from stir_hf.engine import InversionConfig, Paper
from stir_hf.runtime import environment

RESULTS = Path(__file__).parent / "results" / "passes.json"
METHODS = ("adam-polyak", "smooth")
MOST, SHOWN = 200, (50, 100, 150, 200)


def row(model: str, count: int, paper_passes: int, dataset: str | None) -> dict[str, Any]:
    """Error of the paper's rule on one network, and passes of the other rules to the same error."""
    with case(model, count, dataset) as one:
        starts = one.starts(0)
        paper = descent(one, starts, Paper(), paper_passes)
        goal = float(paper.best[-1].mean())
        found: dict[str, Any] = {"num_images": len(starts), "paper_error": goal}
        for method in METHODS:
            config = InversionConfig(method=method)
            begun = one.starts(0, config.start)
            course = descent(one, begun, config.method, MOST)
            found[method] = {"passes": course.passes_to(goal), "errors": course.after(SHOWN)}
    return found


def summary(rows: dict[str, Any], method: str) -> dict[str, Any]:
    """Summarise over the networks; one that never gets there counts as infinite."""
    passes = [r[method]["passes"] or float("inf") for r in rows.values()]
    middle, most = median(passes), max(passes)
    return {
        "median": None if middle == float("inf") else middle,
        "most": None if most == float("inf") else most,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--num-images", type=int, default=64)
    parser.add_argument("--large-images", type=int, default=8)
    parser.add_argument("--paper-passes", type=int, default=1000)
    parser.add_argument("--models", nargs="*", default=[])
    parser.add_argument("--large", nargs="*", default=[])
    parser.add_argument("--photos")
    args = parser.parse_args()
    rows: dict[str, Any] = {}
    cases = [(name, args.num_images, None) for name in (*MODELS, *args.models)]
    cases += [(name, args.large_images, args.photos) for name in args.large]
    for model, count, dataset in cases:
        rows[Path(model).name] = row(model, count, args.paper_passes, dataset)
        print(Path(model).name, rows[Path(model).name], flush=True)
    found = {
        "seed": 0,
        "paper_passes": args.paper_passes,
        "most_passes": MOST,
        "networks": rows,
        "summary": {method: summary(rows, method) for method in METHODS},
        "environment": environment(torch.device("cpu")),
    }
    print(found["summary"])
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
