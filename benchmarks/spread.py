"""Tolerance of the relative error over the spread of the representations, and its effect on a score
whose true value is 1.

    python benchmarks/spread.py [--num-images 64] [--large DIR … --photos DIR]

For each embedded network, and each of `--large` over photographs: the length of the mean of its
representations over their spread, and the default tolerance over it. Then linear maps of noise,
with biases by which that length grows: the least debiased score that the map's own rotation gets
on their inversions, by the tolerance. Seed 0. Writes benchmarks/results/spread.json.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from networks import case
from PIL import Image
from torch import Tensor, nn

import stir_hf
from stir_hf.data.sets.spread import spread_of
from stir_hf.demo import MODELS
from stir_hf.engine import InversionConfig
from stir_hf.runtime import environment

RESULTS = Path(__file__).parent / "results" / "spread.json"
SIDE, IMAGES = 16, 60
OFFSETS = (0, 1, 2, 3, 4, 5, 7, 10, 20, 30)
MAPS = ((40, 0.0), (40, 1.0), (5, 0.0), (400, 0.5))
"""Their width, and the power by which their rows fall."""


def row(model: str, count: int, dataset: str | None) -> dict[str, float]:
    """One network's mean and tolerance over its spread."""
    with case(model, count, dataset) as one:
        found = spread_of([one.target.double().numpy()])
    assert found is not None
    share = InversionConfig().good_enough.share(found.length, found.spread)
    return {"mean_over_spread": found.mean / found.spread, "tolerance_over_spread": share}


class Linear(nn.Module):
    """Images to a x + b."""

    def __init__(self, weight: np.ndarray, bias: np.ndarray) -> None:
        super().__init__()
        self.map = nn.Linear(weight.shape[1], len(weight))
        with torch.no_grad():
            self.map.weight.copy_(torch.as_tensor(weight))
            self.map.bias.copy_(torch.as_tensor(bias))

    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = self.map(images.flatten(1))
        return out


def turned(width: int, power: float, offset: float, **how: Any) -> float:
    """The debiased score of a map's own rotation."""
    rng = np.random.default_rng(0)
    pixels = np.rint(rng.uniform(0.35, 0.65, (IMAGES, SIDE, SIDE, 3)) * 255).astype(np.uint8)
    x = pixels.transpose(0, 3, 1, 2).reshape(IMAGES, -1) / 255
    a = rng.normal(size=(width, x.shape[1])) / x.shape[1] ** 0.5
    a *= np.arange(1, width + 1)[:, None] ** -power
    f = x @ a.T
    spread = np.sqrt(((f - f.mean(0)) ** 2).sum(1).mean())
    bias = np.ones(width) / width**0.5 * spread * offset - f.mean(0)
    turn = np.linalg.qr(rng.normal(size=(width, width)))[0]
    images = [Image.fromarray(one) for one in pixels]
    made = stir_hf.invert(Linear(a, bias), images, progress=False, **how)
    (score,) = stir_hf.score(Linear(turn @ a, turn @ bias), made, progress=False).scores
    assert score.debiased is not None
    assert score.debiased.stir is not None
    return score.debiased.stir


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--num-images", type=int, default=64)
    parser.add_argument("--large", nargs="*", default=[])
    parser.add_argument("--photos")
    args = parser.parse_args()
    cases = [(name, None) for name in MODELS] + [(name, args.photos) for name in args.large]
    rows = {Path(name).name: row(name, args.num_images, photos) for name, photos in cases}
    scores = {}
    for offset in OFFSETS:
        for label, how in (("default", {}), ("spread:0.05", {"tolerance": "spread:0.05"})):
            each = [turned(*one, offset, start=s, **how) for one in MAPS for s in ("grey", "noise")]
            scores.setdefault(str(offset), {})[label] = min(each)
        print(offset, scores[str(offset)], flush=True)
    found = {
        "num_images": args.num_images,
        "networks": rows,
        "maps": scores,
        "environment": environment(torch.device("cpu")),
    }
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
