"""`compare` of two networks at real size on photographs: minutes, errors and scores, by method.

    python benchmarks/photographs.py --photos DIR --out DIR MODEL REFERENCE [METHOD …]

One whole run of `stir_hf.compare` per method (the default and smooth unless given), both
directions, with as many threads as torch takes. Writes benchmarks/results/photographs.json, method
by method: one that was measured before and is not named stays. Alone on the machine.
"""

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

import stir_hf
from stir_hf.runtime import environment

RESULTS = Path(__file__).parent / "results" / "photographs.json"


def measured(model: str, reference: str, photos: str, method: str, out: Path) -> dict[str, Any]:
    """Time and result of one run."""
    folder = out / method.replace(":", "-")
    if folder.exists():
        raise SystemExit(f"{folder} is there already; a run that goes on cannot be timed")
    started, used = time.perf_counter(), time.process_time()
    result = stir_hf.compare(
        model,
        reference,
        photos,
        num_samples=64,
        method=method,
        out=folder,
        progress=False,
    )
    return {
        "minutes": (time.perf_counter() - started) / 60,
        "processor_minutes": (time.process_time() - used) / 60,
        "scores": [{**asdict(score), "notes": list(score.notes)} for score in result.scores],
        "environment": environment(torch.device("cpu")),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs=2)
    parser.add_argument("methods", nargs="*", default=["adam-polyak", "smooth"])
    parser.add_argument("--photos", required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    found: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for method in args.methods:
        found[method] = measured(*args.models, args.photos, method, args.out)
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")
        shown = [(s["model"], s["stir"], s["relative_error"]) for s in found[method]["scores"]]
        print(method, found[method]["minutes"], *shown, flush=True)


if __name__ == "__main__":
    main()
