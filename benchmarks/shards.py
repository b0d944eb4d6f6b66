"""Time to write a row when there are many shards, to find the finished rows, and to compact.

    python benchmarks/shards.py [--parts 20000]

Rows of small images, 4 to a part. Writes benchmarks/results/shards.json: milliseconds of one write
when there are few parts and when there are all of them, seconds of finding what is left, and of
joining all.
"""

import argparse
import json
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import torch

from stir_hf.data.files import shards
from stir_hf.data.files.columns import features
from stir_hf.data.files.rows import Rows
from stir_hf.inputs.images import ImageKind
from stir_hf.runtime import environment

RESULTS = Path(__file__).parent / "results" / "shards.json"
ROWS = 4


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", type=int, default=20_000)
    args = parser.parse_args()
    kind = ImageKind("RGB", (8, 8))
    columns = features(kind, exact=False, starts=False)
    stored = kind.store(np.zeros(kind.shape, np.float32), exact=False)
    vector = np.zeros(16, np.float32)

    def rows(part: int) -> list[dict[str, object]]:
        return [
            {
                "index": part * ROWS + i,
                "draw": 0,
                "canvas_hash": "0" * 16,
                "status": "max_steps",
                "image": stored,
                "inverted": stored,
                "relative_error": 0.1,
                "representation": vector,
                "representation_inverted": vector,
            }
            for i in range(ROWS)
        ]

    with TemporaryDirectory() as name:
        folder, taken = Path(name), []
        for part in range(args.parts):
            begun = time.perf_counter()
            shards.append(folder, rows(part), columns)
            taken.append((time.perf_counter() - begun) * 1000)
        begun = time.perf_counter()
        Rows(shards.files_of(folder)).columns("index", "draw", "status")
        finding = time.perf_counter() - begun
        begun = time.perf_counter()
        shards.compact(folder)
        compacting = time.perf_counter() - begun
        whole = Rows(shards.files_of(folder))
        assert len(whole) == args.parts * ROWS
        begun = time.perf_counter()
        whole.columns("index", "draw", "status")
        after = time.perf_counter() - begun
    some = max(1, args.parts // 20)
    found = {
        "parts": args.parts,
        "write_ms": {"first": median(taken[:some]), "last": median(taken[-some:])},
        "finding_seconds": finding,
        "compacting_seconds": compacting,
        "finding_after_seconds": after,
        "environment": environment(torch.device("cpu")),
    }
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    print({name: value for name, value in found.items() if name != "environment"})


if __name__ == "__main__":
    main()
