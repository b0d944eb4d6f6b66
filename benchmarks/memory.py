"""Resident memory as the number of streamed images grows that are inverted and judged.

    python benchmarks/memory.py [--counts 1000 10000 100000]

Images of 8 x 8 pixels in a stream, two passes each of a small convolutional network with 16
features. The figure is the largest private memory (`RssAnon`) that was seen every 50 ms: what
belongs to the process alone. Pages of mapped files, which the system takes back when it needs them,
are not counted. Writes benchmarks/results/memory.json.
"""

import argparse
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

RESULTS = Path(__file__).parent / "results" / "memory.json"


def private() -> int:
    """Bytes that belong to this process alone."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1024


def work(count: int, folder: str) -> None:
    """Run one measurement in its own process."""
    import datasets
    import numpy as np
    import torch

    import stir_hf

    def images() -> Any:
        draw = np.random.default_rng(0)
        for _ in range(count):
            yield {"image": draw.integers(0, 256, (8, 8, 3), dtype=np.uint8)}

    features = datasets.Features(image=datasets.Image())
    stream = datasets.IterableDataset.from_generator(images, features=features)
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 3),
        torch.nn.Tanh(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
    )
    seen, ended = [0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.05):
            seen[0] = max(seen[0], private())

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    begun = time.perf_counter()
    options: dict[str, Any] = {"progress": False, "device": "cpu", "batch_size": 256}
    made = stir_hf.invert(
        network, stream, num_samples=count, steps=2, out=Path(folder) / "run", **options
    )
    middle = seen[0]
    stir_hf.score(network, made, **options)
    ended.set()
    watching.join()
    found = {"inverting": middle, "judging": seen[0], "seconds": time.perf_counter() - begun}
    print(json.dumps(found), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--counts", type=int, nargs="*", default=[1000, 10_000, 100_000])
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        work(int(args.work[0]), args.work[1])
        return
    import torch

    from stir_hf.runtime import environment

    found: dict[str, Any] = {}
    for count in args.counts:
        with TemporaryDirectory() as folder:
            command = [sys.executable, __file__, "--work", str(count), folder]
            told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found[str(count)] = json.loads(told.splitlines()[-1])
        print(count, found[str(count)], flush=True)
    found["environment"] = environment(torch.device("cpu"))
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
