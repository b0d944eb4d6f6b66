"""What would take a server's memory or time is refused in a sentence before the work."""

import gzip
import io
import json
import time
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from datasets.table import embed_table_storage
from PIL import Image
from torch import nn

from stir_hf import RequestError
from stir_hf.data.sets.located import Place
from stir_hf.data.sources.samples import open_samples
from stir_hf.data.sources.spec import DataSpec
from stir_hf.data.sources.streams import taken
from stir_hf.demo import model_path
from stir_hf.inputs.png import png_pixels
from stir_hf.space import jobs
from stir_hf.space.asked import LIMITS, Limits
from stir_hf.space.guards.bounds import on_images, on_networks
from stir_hf.space.guards.settings import check_network, check_processor
from tests.tiny import Net, inverted, noise_images

PROCESSORS: dict[str, tuple[dict[str, Any], str]] = {
    "a size": ({"size": {"height": 50_000, "width": 50_000}}, "images of 50000x50000 pixels"),
    "an edge": ({"size": {"shortest_edge": 800, "longest_edge": 1333}}, "of 800x800 pixels"),
    "a number": ({"size": 50_000}, "images of 50000x50000 pixels; at most 384 are taken"),
    "a list": ({"size": [400, 300]}, "images of 300x400 pixels"),
    "a crop": ({"size": 224, "crop_size": {"height": 999, "width": 10}}, "images of 10x999"),
    "before a crop": ({"size": 50_000, "crop_size": 224}, "has size 50000; at most 1536"),
    "a pad": ({"size": 224, "pad_size": {"height": 9000, "width": 9}}, "of 9x9000 pixels"),
    "a divisor": ({"do_pad": True, "size_divisor": 10**30}, "has size_divisor 1000000000000000"),
    "inside": ({"image_processor": {"size": {"height": 640, "width": 640}}}, "of 640x640 pixels"),
    "infinity": ({"size": json.loads("Infinity")}, "images of infxinf pixels"),
}


@pytest.mark.parametrize("case", PROCESSORS)
def test_sizes_of_a_processor(case: str) -> None:
    config, words = PROCESSORS[case]
    with pytest.raises(RequestError, match=words) as told:
        check_processor("model lab/huge", config, LIMITS)
    assert "lab/huge" in str(told.value)


@pytest.mark.parametrize(
    "config",
    [
        {"size": {"shortest_edge": 256}, "crop_size": 224, "do_center_crop": True},
        {"size": {"shortest_edge": 438}, "crop_size": {"height": 384, "width": 384}},
        {"size": {"shortest_edge": 224, "longest_edge": 1333}},
        {"size": 384, "crop_size": 600, "do_center_crop": False},
        {"size": 5000, "do_resize": False},
        {"do_resize": True, "image_mean": [0.5], "size": None, "size_divisor": 32},
        {"size": float("nan"), "resample": 3},
        json.loads((Path(model_path("robust-0")) / "preprocessor_config.json").read_text()),
    ],
)
def test_usual_processors_are_taken(config: dict[str, Any]) -> None:
    check_processor("model lab/x", config, LIMITS)


NETWORKS: dict[str, tuple[dict[str, Any], str]] = {
    "layers": (
        {"num_hidden_layers": 300_000},
        r"300000 layers \(num_hidden_layers\)",
    ),
    "depths": ({"depths": [2, 300_000, 2]}, r"300000 layers \(depths\)"),
    "a tower": ({"vision_config": {"num_hidden_layers": 10**9}}, "1000000000 layers"),
    "in a list": ({"towers": [{"encoder_layers": 2000}]}, r"2000 layers \(encoder_layers\)"),
    "blocks": ({"num_block_repeats": [9, 9000]}, "9000 layers"),
    "labels": ({"num_labels": 10**9}, "1000000000 labels; at most 100000 are taken here"),
}


@pytest.mark.parametrize("case", NETWORKS)
def test_counts_of_a_network(case: str) -> None:
    config, words = NETWORKS[case]
    with pytest.raises(RequestError, match=f"model lab/deep has {words}"):
        check_network("model lab/deep", config, LIMITS)


def test_usual_networks_are_taken() -> None:
    embedded = json.loads((Path(model_path("robust-0")) / "config.json").read_text())
    for config in (
        embedded,
        {"num_hidden_layers": 48, "hidden_size": 4096, "vocab_size": 250_000},
        {"depths": [3, 3, 27, 3], "out_indices": [1, 2, 3, 4], "num_feature_levels": 4},
        {"moe_layers": [*range(200)], "heads_per_layer": [5000], "n_layer": 12},
        {"vision_feature_layer": -2, "use_layers": True, "layers": None, "layer_type": "basic"},
    ):
        check_network("model lab/x", config, LIMITS)


def test_a_network_is_built_within_bounds() -> None:
    """However its configuration hides its size."""
    began = time.monotonic()
    with (
        pytest.raises(RequestError, match=r"has more than 20000 parts by its config\.json"),
        on_networks("model lab/deep", 10**6, LIMITS),
        torch.device("meta"),
    ):
        nn.ModuleList(nn.Linear(1, 1) for _ in range(300_000))
    with (
        pytest.raises(RequestError, match="has more than 54000000 weights"),
        on_networks("model lab/wide", 10**6, LIMITS),
        torch.device("meta"),
    ):
        nn.Linear(10**6, 10**6)
    with on_networks("model lab/usual", 10**6, LIMITS):
        nn.Sequential(nn.Linear(100, 100, bias=False), nn.ReLU())
    assert time.monotonic() - began < 5
    nn.Linear(10**4, 10**4, device="meta")  # no bound is left behind


def compressed(kind: str, data: bytes, folder: Path) -> str:
    """The address of an image in an archive, as `datasets` gives it."""
    if kind == "gzip":
        (folder / "x.bmp.gz").write_bytes(gzip.compress(data))
        return f"gzip://x.bmp::{folder}/x.bmp.gz"
    with zipfile.ZipFile(folder / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/x.bmp", data)
    return f"zip://a/x.bmp::{folder}/x.zip"


@pytest.mark.parametrize("kind", ["zip", "gzip"])
@pytest.mark.parametrize("size", [2_000_000, 80_000_000])
def test_images_are_not_unpacked_beyond_a_size(kind: str, size: int, tmp_path: Path) -> None:
    path = compressed(kind, bytes(size), tmp_path)
    columns = datasets.Features(image=datasets.Image(decode=False))
    rows = datasets.Dataset.from_list([{"image": {"bytes": None, "path": path}}], columns)
    read = partial(embed_table_storage, rows.data.table)
    with on_images(LIMITS):
        if size < LIMITS.upload:
            assert len(read()["image"][0].as_py()["bytes"]) == size
        else:
            with pytest.raises(RequestError, match="of the dataset has more than the 10 MB"):
                read()
    assert len(read()["image"][0].as_py()["bytes"]) == size  # no bound is left behind


def test_rows_do_not_hold_images_beyond_a_size() -> None:
    """Parquet compresses, too."""

    def stream(size: int) -> datasets.IterableDataset:
        rows = [{"image": {"bytes": bytes(size), "path": "x.bmp"}}]
        columns = datasets.Features(image=datasets.Image(decode=False))
        return datasets.Dataset.from_list(rows, columns).to_iterable_dataset()

    spec = DataSpec("it", num_samples=1)
    with on_images(LIMITS):
        assert len(taken(stream(9_000_000), spec)) == 1
        with pytest.raises(RequestError, match="an image file of the dataset has 11 MB"):
            taken(stream(11_000_000), spec)
    assert len(taken(stream(11_000_000), spec)) == 1


def saved(width: int, height: int) -> bytes:
    Image.new("L", (width, height)).save(file := io.BytesIO(), "PNG")
    return file.getvalue()


def test_pixels_are_counted_before_images_are_decoded(tmp_path: Path) -> None:
    for i in range(4):
        (tmp_path / f"{i}.png").write_bytes(saved(5000, 4001 if i == 2 else 3000))
    words = "it has 20005000 pixels; at most 20000000 are taken"
    with on_images(LIMITS):
        with pytest.raises(RequestError, match=f"image 2 of it cannot be read: {words}"):
            open_samples(str(tmp_path), DataSpec("it"))
        with pytest.raises(ValueError, match=words):
            png_pixels(saved(5000, 4001), "L", (4001, 5000))
    assert len(open_samples(str(tmp_path), DataSpec("it"))) == 4
    assert np.asarray(png_pixels(saved(50, 40), "L", (40, 50))).shape == (1, 40, 50)


def test_sets_of_large_inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = inverted(Net(), noise_images(4), tmp_path).path
    monkeypatch.setattr(jobs, "located", lambda _: [Place(folder, "set S")])
    (found,) = jobs._sets("lab/set", "lab/set@0", LIMITS)
    assert len(found) == 4
    with pytest.raises(RequestError, match="lab/set holds inversions of 8x8 pixels; at most 7 are"):
        jobs._sets("lab/set", "lab/set@0", Limits(side=7))
