"""Settings of the default's rule: passes to the error of `paper`, on the networks that are slowest.

    python benchmarks/settings.py --models DIR … [--num-images 64]

For each network of `--models`, and one embedded one, the passes after which the mean over images
of the least relative error is at or below what `method="paper"` reached (as benchmarks/passes.py
kept it, which is run before). Seed 0. Writes benchmarks/results/settings.json.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from networks import case, descent

from stir_hf.engine import InversionConfig
from stir_hf.runtime import environment

RESULTS = Path(__file__).parent / "results"
MOST, SHOWN = 200, (50, 100, 150, 200)
RULE = "adam-polyak:"
SETTINGS = (
    "length=1.5,half=100,decay=0.7",
    "length=1.5,half=100,decay=0.4",
    "length=1.5,half=100,decay=0.9",
    "length=1.5,half=100,decay=0.97",
    "length=1,half=100,decay=0.7",
    "length=1,half=200,decay=0.7",
    "length=2,half=60,decay=0.9",
    "length=0.5,half=0,decay=0.9",
    "length=1,half=0,decay=0.9",
    "length=1,half=0,decay=0.4",
    "length=1,half=0,momentum=0.8,decay=0.7",
    "length=1,half=0,momentum=0.95,decay=0.7",
    "length=1,half=100,momentum=0.95,decay=0.7",
    "length=1,half=0,metric=l2",
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="*", default=[])
    parser.add_argument("--num-images", type=int, default=64)
    args = parser.parse_args()
    goals = json.loads((RESULTS / "passes.json").read_text())["networks"]
    found: dict[str, dict[str, Any]] = {setting: {} for setting in SETTINGS}
    for model in ("standard-1", *args.models):
        with case(model, args.num_images) as one:
            for setting in SETTINGS:
                rule = InversionConfig(method=RULE + setting).method
                course = descent(one, one.starts(0), rule, MOST)
                passes = course.passes_to(goals[one.name]["paper_error"])
                found[setting][one.name] = {"passes": passes, "errors": course.after(SHOWN)}
                print(one.name, setting, passes, flush=True)
    about = {"num_images": args.num_images, "seed": 0, "settings": found}
    about["environment"] = environment(torch.device("cpu"))
    (RESULTS / "settings.json").write_text(json.dumps(about, indent=1) + "\n")


if __name__ == "__main__":
    main()
