"""Standard deviation of debiased scores over images and their starts, by the number of images.

    python benchmarks/deviation.py [--num-images 200] [--steps 60] [--large DIR … --photos DIR
        --num-photos 100]

Each embedded network is inverted on all embedded images, each of `--large` on the photographs, and
judged by itself and all others at two layers. Debiased scores of random subsets of the images, each
drawn without replacement, deviate from that of all; the deviation is corrected for the finite
number, √(1 − n / N). Beside it stands 0.65 √((1 − score²) / n), by which scores are put into words
(`formula`). Seed 0. Writes benchmarks/results/deviation.json.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

import stir_hf
from stir_hf.demo import IMAGES, MODELS, model_path
from stir_hf.runtime import environment
from stir_hf.similarity import debiased_cka

DEVIATION = 0.65
"""The standard deviation of a debiased score near 0, times the root of the number of images."""
RESULTS = Path(__file__).parent / "results" / "deviation.json"
LAYERS = ("penultimate", "hidden_states[1]")
SIZES = (8, 16, 24, 32, 48, 64, 100)
SUBSETS = 300


def rows(
    models: Sequence[str], data: str, count: int, steps: int, layers: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Yield the score of each ordered pair and layer, with its deviations by number of images."""
    rng = np.random.default_rng(0)
    for reference in models:
        found = stir_hf.invert(reference, data, num_samples=count, steps=steps, progress=False)
        whole = list(range(len(found)))
        pairs = found.originals_of(whole), np.asarray(found.values("inverted", whole))
        for model, layer in product(models, layers):
            encoder = stir_hf.load_encoder(model, layer=layer)
            x, y = (represented(encoder, values) for values in pairs)
            yield {
                "model": Path(model).name,
                "reference": Path(reference).name,
                "layer": layer,
                "score": debiased_cka(x, y),
                "deviations": {
                    str(n): deviated(x, y, n, rng) for n in SIZES if n <= len(whole) / 2
                },
            }


def represented(encoder: Any, values: Any) -> np.ndarray:
    with torch.no_grad():
        parts = [encoder(torch.as_tensor(values[i : i + 32])) for i in range(0, len(values), 32)]
    return torch.cat(parts).flatten(1).double().numpy()


def deviated(x: np.ndarray, y: np.ndarray, n: int, rng: np.random.Generator) -> float:
    """Return the standard deviation of the score over subsets of n rows."""
    chosen = (rng.choice(len(x), n, replace=False) for _ in range(SUBSETS))
    scores = [debiased_cka(x[some], y[some]) for some in chosen]
    return float(np.std(scores) / np.sqrt(1 - n / len(x)))


def formula(score: float, num_samples: int) -> float:
    """The documented standard deviation: 0.65 √((1 - score²) / num_samples)."""
    return float(DEVIATION * ((1 - score * score) / num_samples) ** 0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--num-images", type=int, default=200)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--large", nargs="*", default=[])
    parser.add_argument("--photos")
    parser.add_argument("--num-photos", type=int, default=100)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    embedded = [str(model_path(name)) for name in MODELS]
    found = list(rows(embedded, str(IMAGES), asked.num_images, asked.steps, LAYERS))
    if asked.large:
        found += rows(asked.large, asked.photos, asked.num_photos, asked.steps, LAYERS[:1])
    for row in found:
        row["formula"] = {n: formula(row["score"], int(n)) for n in row["deviations"]}
        print(
            row["model"], row["reference"], row["layer"], f"{row['score']:.3f}", row["deviations"]
        )
    about = {
        "steps": asked.steps,
        "subsets": SUBSETS,
        "environment": environment(torch.device("cpu")),
    }
    RESULTS.write_text(json.dumps({"rows": found, **about}, indent=1) + "\n")


if __name__ == "__main__":
    main()
