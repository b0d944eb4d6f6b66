"""Shift of the score under other methods, beside its spread over seeds of the start images.

    python benchmarks/shifts.py [--num-images 100] [--seeds 3] [--others] [--models DIR …]

For each embedded network as the reference and each seed: `method="paper"` for 1000 passes, then
each other method up to the first iterate at or below the error that the paper's rule reached for
the same image (its best one of 300 passes where it does not get there). The shift of a pair is the
difference of STIR, method minus paper, mean over the seeds; the pairs are all with that reference,
the networks of `--models` judged as well. Beside it stand the standard deviations over the seeds,
root mean square over the pairs. Writes benchmarks/results/shifts.json; with `--others`, of methods
from other images of the data, benchmarks/results/shifts_others.json.
"""

import argparse
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from networks import Case, case, descent
from torch import Tensor

from stir_hf.demo import MODELS
from stir_hf.engine import InversionConfig, Paper
from stir_hf.runtime import environment
from stir_hf.similarity import debiased_cka, linear_cka

RESULTS = Path(__file__).parent / "results"
METHODS = ("adam-polyak", "adam-polyak:length=0.5,half=0,decay=0.9", "smooth")
"""The default, the default before it, and smooth."""
OTHERS = ("adam-polyak from other", "smooth from other", "smooth-linear from other")
PAPER_PASSES, MOST = 1000, 300
Scores = dict[str, tuple[float, float]]


def judged(reference: Case, judges: list[Case], inverted: Tensor) -> Scores:
    """STIR and its debiased form of all the others on one reference's inversions."""
    found = {}
    for judge in judges:
        if judge.name != reference.name:
            pair = judge.target.numpy(), judge.represented(inverted).numpy()
            key = f"{judge.name} | {reference.name}"
            found[key] = linear_cka(*pair), debiased_cka(*pair)
    return found


def run(reference: Case, judges: list[Case], seed: int, methods: tuple[str, ...]) -> dict[str, Any]:
    """Measure all methods on one reference and seed."""
    starts = reference.starts(seed)
    paper = descent(reference, starts, Paper(), PAPER_PASSES)
    goal = paper.best[-1]
    found: dict[str, Any] = {
        "paper": {"scores": judged(reference, judges, paper.reached), "error": float(goal.mean())}
    }
    for method in methods:
        name, _, start = method.partition(" from ")
        config = InversionConfig(method=name, start=start or None)
        begun = reference.starts(seed, config.start)
        course = descent(reference, begun, config.method, MOST, goal)
        found[method] = {
            "scores": judged(reference, judges, course.reached),
            "passes_to_mean": course.passes_to(float(goal.mean())),
            "reached": float((course.passes > 0).double().mean()),
        }
    return found


def table(runs: list[dict[str, Any]], method: str) -> dict[str, Any]:
    """Shifts of one method against the paper's over all pairs."""
    pairs: dict[str, list[list[float]]] = {}
    for one in runs:
        for pair, there in one["paper"]["scores"].items():
            here = one[method]["scores"][pair]
            pairs.setdefault(pair, []).append([*there, *here])
    values = {pair: np.array(v) for pair, v in pairs.items()}
    shifts = {pair: (v[:, 2] - v[:, 0]).mean() for pair, v in values.items()}
    all_of_them = np.array(list(shifts.values()))
    spread = [
        float(np.sqrt(np.mean([v[:, k].var(ddof=1) for v in values.values()]))) for k in (0, 2)
    ]
    debiased = np.array([(v[:, 3] - v[:, 1]).mean() for v in values.values()])
    return {
        "pairs": len(shifts),
        "mean": float(all_of_them.mean()),
        "mean_absolute": float(abs(all_of_them).mean()),
        "largest": float(abs(all_of_them).max()),
        "deviation_over_seeds": {"paper": spread[0], "method": spread[1]},
        "debiased": {
            "mean": float(debiased.mean()),
            "mean_absolute": float(abs(debiased).mean()),
        },
        "reached": float(np.mean([one[method]["reached"] for one in runs])),
        "passes_to_mean": [one[method]["passes_to_mean"] for one in runs],
        "shifts": {pair: round(float(v), 4) for pair, v in shifts.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--num-images", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--models", nargs="*", default=[])
    parser.add_argument("--others", action="store_true")
    args = parser.parse_args()
    methods = OTHERS if args.others else METHODS
    with ExitStack() as stack:
        judges = [stack.enter_context(case(m, args.num_images)) for m in (*MODELS, *args.models)]
        runs = []
        for reference in judges[: len(MODELS)]:
            for seed in range(args.seeds):
                runs.append(run(reference, judges, seed, methods))
                print(reference.name, seed, runs[-1]["paper"]["error"], flush=True)
    found = {
        "num_images": args.num_images,
        "seeds": args.seeds,
        "paper_error": float(np.mean([one["paper"]["error"] for one in runs])),
        "methods": {method: table(runs, method) for method in methods},
        "environment": environment(torch.device("cpu")),
    }
    (RESULTS / f"shifts{'_others' * args.others}.json").write_text(
        json.dumps(found, indent=1) + "\n"
    )
    for method, row in found["methods"].items():
        print(method, {k: v for k, v in row.items() if k != "shifts"})


if __name__ == "__main__":
    main()
