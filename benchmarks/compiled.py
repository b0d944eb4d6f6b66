"""Passes through torch.compile beside passes that are not compiled.

    python benchmarks/compiled.py [--large DIR … --photos DIR] [--threads N]

A pass is that of an inversion, with batch normalisation folded and the gradient to the input. Each
compiled pass is timed right after one that is not compiled, in turns; kept are, by network:

- `ratio`: median and quartiles of the ratios;
- `cold`: seconds of the first compiled pass, with an empty cache of torch.compile; of the first
  network it includes the start of the compiler;
- `first`: seconds of the first compiled pass at other sizes of the batch, as at the end of a run;
- `pays_after`: the number of passes after which compiling has paid; null if it never does;
- `load`: the mean number of busy processes of the machine in the last minute, 1 if it runs alone.

Writes benchmarks/results/compiled.json.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cost import input_gradient, ratios
from networks import Case, case

from stir_hf.demo import MODELS
from stir_hf.models.preprocessing import LEAST_BATCH
from stir_hf.models.run.session import Session
from stir_hf.runtime import environment

RESULTS = Path(__file__).parent / "results" / "compiled.json"


def seconds(call: Callable[[], None]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def measured(case: Case, rounds: int) -> dict[str, Any]:
    plain: Any = case.represent
    starts, count = case.starts(0), len(case.pixels)

    def passes(session: Session, rows: int = count) -> Callable[[], None]:
        return lambda: input_gradient(session, starts[:rows].detach(), case.target[:rows])

    with Session(plain.network, plain.reading, compiles=True) as session:
        cold = seconds(passes(session))
        sizes = (count - 1, count // 2, LEAST_BATCH)
        first = {str(rows): seconds(passes(session, rows)) for rows in sizes}
        ratio = ratios(passes(plain), passes(session), rounds)
    usual = float(np.median([seconds(passes(plain)) for _ in range(rounds)]))
    saved = (1 - ratio["median"]) * usual
    return {
        "batch": count,
        "ratio": ratio,
        "seconds": usual,
        "cold": cold,
        "first": first,
        "pays_after": round(cold / saved) if saved > 0 else None,
        "load": os.getloadavg()[0],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--large", nargs="*", default=[])
    parser.add_argument("--photos")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rows: dict[str, Any] = {}
    small = [(name, 64, None, 80) for name in (MODELS[0], MODELS[2])]
    for model, count, data, rounds in (*small, *((m, 8, args.photos, 14) for m in args.large)):
        with tempfile.TemporaryDirectory() as cache, case(model, count, data) as one:
            os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
            rows[one.name] = measured(one, rounds)
        print(one.name, rows[one.name], flush=True)
    found = {"networks": rows, "environment": environment(torch.device("cpu"))}
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
