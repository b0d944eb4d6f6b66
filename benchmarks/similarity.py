"""The cost of linear CKA over a stream of small batches, against its bare matrix products.

    python benchmarks/similarity.py [--rows 4096] [--width 2048] [--batch-size 32] [--rounds 9]

Bare: XᵀX, YᵀY and XᵀY of the same rows, float64 already, in chunks of 1000. Ours: the same rows as
float32 in batches, every batch through `LinearCKA.update`, then `value` and `debiased`. Both in
turn in one run, the order changing from round to round. Writes benchmarks/results/similarity.json:
the ratio of each round, their median and range, by processor time, which other processes on the
machine disturb least, and by the clock.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stir_hf.runtime import environment
from stir_hf.similarity import LinearCKA

RESULTS = Path(__file__).parent / "results" / "similarity.json"
BARE_CHUNK = 1000


def rows(n: int, width: int) -> tuple[Tensor, Tensor]:
    """Two related sides of shape (n, width), float32, with offsets, as representations after a
    ReLU have.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, width, generator=generator)
    y = 0.7 * x.roll(1, 1) + torch.randn(n, width, generator=generator)
    return x.relu(), y.relu()


def bare(chunks: list[tuple[Tensor, Tensor]]) -> None:
    for x, y in chunks:
        _ = x.T @ x, y.T @ y, x.T @ y


def stream(x: Tensor, y: Tensor, batch_size: int) -> LinearCKA:
    cka = LinearCKA()
    for start in range(0, len(x), batch_size):
        cka.update(x[start : start + batch_size], y[start : start + batch_size])
    return cka


CLOCKS = {"processor": time.process_time, "clock": time.perf_counter}


def seconds(work: Callable[[], Any]) -> dict[str, float]:
    started = {name: clock() for name, clock in CLOCKS.items()}
    work()
    return {name: clock() - started[name] for name, clock in CLOCKS.items()}


def summary(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=4096)
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    x, y = rows(args.rows, args.width)
    chunks = list(zip(x.double().split(BARE_CHUNK), y.double().split(BARE_CHUNK), strict=True))

    def ours() -> None:
        cka = stream(x, y, args.batch_size)
        cka.value()
        cka.debiased()

    bare(chunks[:1])
    stream(x[:64], y[:64], args.batch_size)
    times: dict[str, list[dict[str, float]]] = {"bare": [], "ours": []}
    for i in range(args.rounds):
        pair = [("bare", lambda: bare(chunks)), ("ours", ours)]
        for name, work in pair if i % 2 else reversed(pair):
            times[name].append(seconds(work))
    found: dict[str, Any] = {
        **vars(args),
        "bare_chunk": BARE_CHUNK,
        "threads": torch.get_num_threads(),
        "environment": environment(torch.device("cpu")),
    }
    for clock in CLOCKS:
        ours_s, bare_s = ([t[clock] for t in times[name]] for name in ("ours", "bare"))
        ratios = [a / b for a, b in zip(ours_s, bare_s, strict=True)]
        found[clock] = {
            "seconds": {"bare": summary(bare_s), "ours": summary(ours_s)},
            "ratio": summary(ratios),
            "ratios": ratios,
        }
        print(clock, found[clock]["ratio"], flush=True)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
