"""Passes to the original's error, and the cost of a pass, on the embedded networks.

    python benchmarks/passes.py [--num-images 200] [--paper-passes 1000]

For each network: the mean over images of the best relative error after `--paper-passes` passes of `method="paper"`, and
the number of passes after which the default method's mean best error is at or below that. Then, in interleaved runs, the
time of one pass of the default against a bare forward and input-gradient pass. Writes benchmarks/results/passes.json.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stir_hf import load_encoder
from stir_hf.data.samples import open_images
from stir_hf.data.spec import DataSpec
from stir_hf.demo import IMAGES, MODELS, model_path
from stir_hf.engine import (
    STARTS,
    AdamPolyak,
    Box,
    Item,
    Paper,
    Rule,
    descend,
    relative_error,
    start_value,
)
from stir_hf.models.encoder import Encoder

RESULTS = Path(__file__).parent / "results" / "passes.json"


def load(name: str, count: int) -> tuple[Encoder, Tensor, Tensor]:
    encoder = load_encoder(model_path(name))
    images = open_images(str(IMAGES), DataSpec("demo", num_samples=count))
    canvas = np.stack([encoder.pixels.canvas(image) for _, image, _ in images])
    pixels = torch.from_numpy(canvas.transpose(0, 3, 1, 2).astype(np.float32) / 255)
    shape = (encoder.channels, *(encoder.size or (0, 0)))
    noise = STARTS.parse("noise")
    starts = torch.stack(
        [start_value(noise, shape, seed=0, index=i, draw=0) for i in images.indices]
    )
    return encoder, pixels, starts


def curve(encoder: Encoder, pixels: Tensor, starts: Tensor, rule: Rule, passes: int) -> list[float]:
    """The mean over images of the best error after 1, 2, … passes."""
    with torch.no_grad():
        target = encoder(pixels)
    best, means = torch.full((len(pixels),), torch.inf), []

    def represent(images: Tensor) -> Tensor:
        nonlocal best
        out = encoder(images)
        best = torch.minimum(best, relative_error(out.detach(), target))
        means.append(best.mean().item())
        return out

    items = (
        Item((i, 0), start, t) for i, (start, t) in enumerate(zip(starts, target, strict=True))
    )
    with encoder.frozen():
        list(
            descend(
                represent,
                items,
                rule,
                constraint=Box(),
                passes=passes,
                tolerance=1e-9,
                batch_size=len(pixels),
            )
        )
    return means


def seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def cost(
    encoder: Encoder, pixels: Tensor, starts: Tensor, rounds: int = 9, passes: int = 50
) -> float:
    """Median ratio of the time of our pass to that of a bare forward and input-gradient pass, interleaved."""
    with torch.no_grad():
        target = encoder(pixels)

    def bare() -> None:
        x = starts.clamp(0, 1)
        for _ in range(passes):
            x = x.detach().requires_grad_(True)
            torch.autograd.grad(relative_error(encoder(x), target).sum(), x)

    def ours() -> None:
        items = (
            Item((i, 0), start, t) for i, (start, t) in enumerate(zip(starts, target, strict=True))
        )
        list(
            descend(
                encoder,
                items,
                AdamPolyak(),
                constraint=Box(),
                passes=passes,
                tolerance=1e-9,
                batch_size=len(pixels),
            )
        )

    with encoder.frozen():
        bare()
        ours()
        ratios = [seconds(ours) / seconds(bare) for _ in range(rounds)]
    return statistics.median(ratios)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--num-images", type=int, default=200)
    parser.add_argument("--paper-passes", type=int, default=1000)
    args = parser.parse_args()
    found: dict[str, Any] = {
        "num_images": args.num_images,
        "paper_passes": args.paper_passes,
        "seed": 0,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "networks": {},
    }
    for name in MODELS:
        encoder, pixels, starts = load(name, args.num_images)
        paper = curve(encoder, pixels, starts, Paper(), args.paper_passes)[-1]
        ours = curve(encoder, pixels, starts, AdamPolyak(), 300)
        needed = next((k for k, error in enumerate(ours, 1) if error <= paper), None)
        row = {
            "paper_error": paper,
            "passes_to_paper_error": needed,
            "error_at_300": ours[-1],
            "cost_of_a_pass": cost(encoder, pixels[:64], starts[:64]),
        }
        print(name, row, flush=True)
        found["networks"][name] = row
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
