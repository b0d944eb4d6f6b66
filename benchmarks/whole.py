"""Whole inversions against the original package: processor time to the same mean error.

    python benchmarks/whole.py [--num-images 64] [--passes 1000] [--rounds 3]

On two embedded networks, one process and one thread each: the original inverts the images in
`--passes` passes (its `AttackerModel`, as benchmarks/original.py runs it), and `stir_hf.invert`
inverts the same images, everything included (loading, checks, reading the dataset, writing PNG and
parquet), in the fewest passes whose mean error over the stored images is at or below the original's
best. The two take turns. Writes benchmarks/results/whole.json. Alone on the machine.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from networks import case, descent
from original import Network, Normalize, Runner, load, original
from torch import Tensor

import stir_hf
from stir_hf.demo import IMAGES, model_path
from stir_hf.engine import InversionConfig
from stir_hf.runtime import environment

RESULTS = Path(__file__).parent / "results" / "whole.json"
NETWORKS = ("standard-0", "robust-0")


def theirs(
    stir: Any, name: str, images: Tensor, starts: Tensor, passes: int
) -> tuple[float, float]:
    """Processor seconds of the original, and the mean over images of its best error."""
    runner, errors = Runner(stir), list[Tensor]()
    model = stir.AttackerModel(Network(name), Normalize(name))
    (_, target), _ = model(images, with_latent=True)
    options = runner.options(errors, passes)
    started = time.process_time()
    model(starts, target=target, make_adv=True, layer_num=None, **options)
    return time.process_time() - started, float(torch.stack(errors).amin(0).mean())


def ours(name: str, count: int, steps: int) -> tuple[float, float]:
    """Processor seconds of `invert`, and the mean error of what it stored."""
    started = time.process_time()
    made = stir_hf.invert(
        model_path(name),
        str(IMAGES),
        num_samples=count,
        steps=steps,
        progress=False,
    )
    return time.process_time() - started, float(made.relative_error.mean())


def enough(name: str, count: int, error: float) -> int:
    """The fewest steps of `invert` to this mean error: first by the curve, then by itself."""
    with case(name, count) as one:
        rule = InversionConfig().method
        steps = descent(one, one.starts(0), rule, 300).passes_to(error) or 300
    while ours(name, count, steps)[1] > error:
        steps += 5
    return steps


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--num-images", type=int, default=64)
    parser.add_argument("--passes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    _, images, starts = load(args.num_images)
    rows: dict[str, Any] = {}
    with original() as stir:
        for name in NETWORKS:
            first = theirs(stir, name, images, starts, args.passes)  # cold: not counted
            steps = enough(name, args.num_images, first[1])
            times, mine = [], []
            for _ in range(args.rounds):
                times.append(theirs(stir, name, images, starts, args.passes)[0])
                mine.append(ours(name, args.num_images, steps))
            ratios = [a / b for a, (b, _) in zip(times, mine, strict=True)]
            rows[name] = {
                "original": {"seconds": times, "mean_error": first[1], "passes": args.passes},
                "invert": {
                    "seconds": [t for t, _ in mine],
                    "mean_error": mine[0][1],
                    "steps": steps,
                },
                "ratio": statistics.median(ratios),
            }
            print(name, rows[name], flush=True)
    found = {
        "num_images": args.num_images,
        "networks": rows,
        "environment": environment(torch.device("cpu")),
    }
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
