"""Passes to the original's error, and the cost of a pass, on the embedded networks.

    python benchmarks/passes.py [--num-images 200] [--paper-passes 1000] [--cost-only] [--threads N]

For each network: the mean over images of the best relative error after `--paper-passes` passes of
`method="paper"`, and the number of passes after which the default method's mean best error is at
or below that. Then, pass by pass in turns, the time of one pass of the default against a bare
forward and input gradient: of the whole (`cost_of_a_pass`), and of the loop over the bare network
(`cost_of_the_loop`), as ratios. Writes benchmarks/results/passes.json.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stir_hf import load_encoder
from stir_hf.data.samples import open_samples
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
from stir_hf.engine.loop import Represent
from stir_hf.models.encoder import Encoder

RESULTS = Path(__file__).parent / "results" / "passes.json"


def load(name: str, count: int) -> tuple[Encoder, Tensor, Tensor]:
    encoder = load_encoder(model_path(name))
    samples = open_samples(str(IMAGES), DataSpec("demo", num_samples=count))
    places = np.argsort(samples.order).tolist()
    canvas = np.stack([encoder.canvas(samples.sample(place).image) for place in places])
    pixels = torch.from_numpy(canvas.astype(np.float32) / 255)
    shape = (encoder.channels, *(encoder.size or (0, 0)))
    noise = STARTS.parse("noise")
    starts = torch.stack(
        [start_value(noise, shape, seed=0, index=i, draw=0) for i in sorted(samples.order.tolist())]
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


def bare_network(encoder: Encoder) -> Represent:
    """The network of a demo model alone, its pixel arithmetic written out: no hooks, no
    resizing.
    """
    scale, shift = float(encoder.pixels.map.matrix), float(encoder.pixels.map.bias)
    resnet: Any = encoder.module.resnet
    return lambda x: resnet(pixel_values=x * scale + shift).pooler_output.flatten(1)


def cost(
    represent: Represent, bare: Represent, pixels: Tensor, starts: Tensor, passes: int
) -> dict[str, float]:
    """The time of one of our passes against that of a bare forward and input gradient, right
    before it.

    The bare pass runs inside ours, when the loop asks for a representation, and its time is taken
    off.
    """
    with torch.no_grad():
        target = represent(pixels)
    entered: list[float] = []
    alone: list[float] = []

    def interleaved(x: Tensor) -> Tensor:
        entered.append(time.perf_counter())
        y = starts.clamp(0, 1).requires_grad_(True)
        with torch.enable_grad():
            torch.autograd.grad(relative_error(bare(y), target).sum(), y)
        alone.append(time.perf_counter() - entered[-1])
        return represent(x)

    pairs = zip(starts, target, strict=True)
    items = [Item((i, 0), start, t) for i, (start, t) in enumerate(pairs)]
    options: dict[str, Any] = {"passes": passes, "tolerance": 1e-9, "batch_size": len(items)}
    list(descend(interleaved, items, AdamPolyak(), constraint=Box(), **options))
    whole, base = np.diff(entered)[2:], np.array(alone[2:-1])
    low, median, high = np.percentile((whole - base) / base, [25, 50, 75])
    return {"median": float(median), "quartile_1": float(low), "quartile_3": float(high)}


def costs(encoder: Encoder, pixels: Tensor, starts: Tensor, passes: int = 200) -> dict[str, Any]:
    """Ratios of the whole, and of the loop alone, to the bare network."""
    bare = bare_network(encoder)
    with encoder.session() as session:
        return {
            f"cost_of_{name}": cost(represent, bare, pixels, starts, passes)
            for name, represent in (("a_pass", session), ("the_loop", bare))
        }


def errors(encoder: Encoder, pixels: Tensor, starts: Tensor, passes: int) -> dict[str, Any]:
    """What the two methods reach, and after how many passes."""
    paper = curve(encoder, pixels, starts, Paper(), passes)[-1]
    ours = curve(encoder, pixels, starts, AdamPolyak(), 300)
    return {
        "paper_error": paper,
        "passes_to_paper_error": next((k for k, e in enumerate(ours, 1) if e <= paper), None),
        "error_at_300": ours[-1],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--num-images", type=int, default=200)
    parser.add_argument("--paper-passes", type=int, default=1000)
    parser.add_argument("--cost-only", action="store_true", help="print the costs, write nothing")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
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
        row = {} if args.cost_only else errors(encoder, pixels, starts, args.paper_passes)
        row |= costs(encoder, pixels[:64], starts[:64])
        print(name, row, flush=True)
        found["networks"][name] = row
    if args.cost_only:
        return
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
