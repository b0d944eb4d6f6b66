"""Networks of a few hundred weights, small images, and looks into an --out folder."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image, ImageFile
from torch import Tensor, nn

import stir_hf
from stir_hf import Encoder, Inversions, RequestError, compare, invert
from stir_hf.models.images.pixels import Pixels

SIDE = 8
QUICK: dict[str, Any] = {"steps": 2, "progress": False}
SEES: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "image_size": 32,
    "patch_size": 8,
}
"""The configuration of a small transformer over images."""
Act = Callable[[Tensor], Tensor]


class Net(nn.Module):
    """act(gain · (W x + b)), images (b, 3, 8, 8) to (b, 5); `act` and `gain` are no weights."""

    def __init__(self, seed: int = 0, act: Act = torch.tanh, gain: float = 1.0) -> None:
        super().__init__()
        self.linear = nn.Linear(3 * SIDE * SIDE, 5)
        self.act, self.gain = act, gain
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for weight in self.parameters():
                weight.copy_(torch.randn(weight.shape, generator=generator) / 8)

    def forward(self, images: Tensor) -> Tensor:
        return self.act(self.gain * self.linear(images.flatten(1)))


class Watched(Net):
    """Keeps what it is asked to differentiate; is interrupted after `fuse` such passes."""

    def __init__(self, fuse: int | None = None) -> None:
        super().__init__()
        self.fuse, self.seen = fuse, list[Tensor]()

    def forward(self, images: Tensor) -> Tensor:
        if images.requires_grad:
            self.seen.append(images.detach().clone())
            if self.fuse is not None and len(self.seen) > self.fuse:
                raise KeyboardInterrupt
        return super().forward(images)


def noise_images(count: int, side: int = SIDE, seed: int = 0) -> list[Image.Image]:
    """RGB images of independent noise; a smaller count is the beginning of a larger one."""
    rng = np.random.default_rng(seed)
    shape = (side, side, 3)
    return [Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)) for _ in range(count)]


def dataset_of(images: list[Image.Image]) -> datasets.Dataset:
    """The images as PNG files in memory, palettes and transparency kept."""

    def png(image: Image.Image) -> dict[str, Any]:
        file = io.BytesIO()
        image.save(file, "PNG")
        return {"bytes": file.getvalue(), "path": None}

    features = datasets.Features(image=datasets.Image())
    return datasets.Dataset.from_dict({"image": [png(i) for i in images]}, features=features)


def pictures(count: int, side: int = SIDE, seed: int = 0) -> datasets.Dataset:
    return dataset_of(noise_images(count, side, seed))


def picture_folder(folder: Path, count: int, side: int = SIDE) -> Path:
    """A local dataset of PNG files, one split."""
    folder.mkdir(parents=True)
    for i, image in enumerate(noise_images(count, side)):
        image.save(folder / f"{i:02d}.png")
    return folder


def inverted(reference: Any, data: Any, out: Path | None = None, **options: Any) -> Inversions:
    return invert(reference, data, out=out, **(QUICK | options))


def compared(model: Any, reference: Any, data: Any, **options: Any) -> Any:
    return compare(model, reference, data, **(QUICK | options))


def judged(model: Any, inversions: Any, **options: Any) -> stir_hf.Score:
    found: stir_hf.Score = stir_hf.score(model, inversions, progress=False, **options).scores[0]
    return found


def sets(out: Path) -> list[Path]:
    """The folders of the inversion sets under `out`."""
    return sorted(path.parent for path in out.rglob("inversions.json"))


def record(out: Path) -> dict[str, Any]:
    """The inversions.json of the only set under `out`."""
    (folder,) = sets(out)
    found: dict[str, Any] = json.loads((folder / "inversions.json").read_text("utf-8"))
    return found


def rows(out: Path) -> list[dict[str, Any]]:
    """All rows on disk under `out`, images undecoded."""
    return [
        row for path in sorted(out.rglob("*.parquet")) for row in pq.read_table(path).to_pylist()
    ]


def values_of(key: str, data: Any) -> Iterator[Any]:
    """The values of every key of this name, at any depth."""
    if isinstance(data, dict):
        yield from (value for name, value in data.items() if name == key)
        data = list(data.values())
    if isinstance(data, list):
        for value in data:
            yield from values_of(key, value)


def assert_same(found: Inversions, expected: Inversions) -> None:
    assert np.array_equal(found.index, expected.index), "other images"
    same = np.array_equal(np.asarray(found.image), np.asarray(expected.image))
    assert same, "other pixels"
    np.testing.assert_allclose(found.representation, expected.representation, atol=1e-5)
    np.testing.assert_allclose(found.relative_error, expected.relative_error, atol=1e-4)


def refused_or_fresh(call: Callable[[], Inversions], fresh: Callable[[], Inversions]) -> None:
    """What is another run by its content ends in a refusal, or as it does in an empty folder."""
    try:
        found = call()
    except RequestError:
        return
    assert_same(found, fresh())


def count_decodes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that grows by one with every image file that is decoded."""
    found: list[int] = []
    load = ImageFile.ImageFile.load

    def count(image: ImageFile.ImageFile) -> Any:
        if getattr(image, "tile", None):
            found.append(1)
        return load(image)

    monkeypatch.setattr(ImageFile.ImageFile, "load", count)
    return found


def pixels_of(encoder: Encoder) -> Pixels:
    """The preprocessing of an encoder of images."""
    assert isinstance(encoder.preprocessing, Pixels)
    return encoder.preprocessing
