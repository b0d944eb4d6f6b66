"""How long it takes to see that the images of a finished set are still the same.

    python benchmarks/continuing.py [--images 10000] [--side 224]

JPEG files of smooth noise in a folder, inverted by one step of a small linear map; then the rows
are compared with the data as a run that continues does. Writes benchmarks/results/continuing.json:
seconds of comparing the bytes of all images by their hash; seconds of decoding all and comparing
their pixels instead, as is done where the bytes differ; seconds of reading all files; their bytes.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

import stir_hf
from stir_hf.data.files.rows import Rows
from stir_hf.data.files.shards import files_of
from stir_hf.data.sources.canvases import Canvases
from stir_hf.data.sources.samples import open_samples
from stir_hf.data.sources.spec import DataSpec
from stir_hf.job.left import left_of
from stir_hf.runtime import environment

RESULTS = Path(__file__).parent / "results" / "continuing.json"


class Thumbnails(nn.Module):
    """A linear map of the image's mean colours in 4 × 4 fields."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.f = nn.Linear(48, 16)

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.f(nn.functional.adaptive_avg_pool2d(images, 4).flatten(1))
        return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--side", type=int, default=224)
    args = parser.parse_args()
    with TemporaryDirectory() as name:
        data, out = Path(name) / "images", Path(name) / "run"
        data.mkdir()
        rng = np.random.default_rng(0)
        for i in range(args.images):
            small = Image.fromarray(rng.integers(0, 256, (28, 28, 3), dtype=np.uint8))
            small.resize((args.side, args.side)).save(data / f"{i:06d}.jpg", quality=95)
        made = stir_hf.invert(
            Thumbnails(), str(data), steps=1, out=out, batch_size=64, progress=False
        )
        samples = open_samples(str(data), DataSpec(str(data)))
        encoder = stir_hf.load_encoder(Thumbnails())
        encoder.find_layer((args.side, args.side))

        def again() -> None:
            canvases = Canvases(samples, encoder.canvas, (3, args.side, args.side))
            found = left_of(made.path, canvases, np.ones((args.images, 1), bool))
            assert len(found.keys) == 0

        def decode() -> None:
            canvases = Canvases(samples, encoder.canvas, (3, args.side, args.side))
            rows = Rows(files_of(made.path))
            (index,) = rows.columns("index")
            place = np.argsort(samples.order)[index]
            hashes = rows.values("canvas_hash", np.arange(len(index)))
            canvases.check_again(place.tolist(), hashes)

        hashed, decoded = _seconds(again), _seconds(decode)
        files = list(data.iterdir())
        found = {
            "images": args.images,
            "side": args.side,
            "bytes": sum(path.stat().st_size for path in files),
            "seconds_hashed": hashed,
            "seconds_decoded": decoded,
            "seconds_read": _seconds(lambda: [path.read_bytes() for path in files]),
            "environment": environment(torch.device("cpu")),
        }
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    print({name: value for name, value in found.items() if name != "environment"})


def _seconds(work: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    work()
    return round(time.perf_counter() - begun, 2)


if __name__ == "__main__":
    main()
