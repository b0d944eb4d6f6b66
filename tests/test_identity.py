"""What makes two inversion sets the same: content, never spelling."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn

import stir_hf
from stir_hf import RequestError, load_encoder
from tests.conftest import TinyModels
from tests.tiny import (
    Net,
    Watched,
    compared,
    dataset_of,
    inverted,
    picture_folder,
    pictures,
    refused_or_fresh,
    rows,
    values_of,
)

Change = Callable[[Net], None]


def train(net: Net) -> None:
    with torch.no_grad():
        net.linear.weight.mul_(-1)


def bend(net: Net) -> None:
    net.act = torch.sin


def heat(net: Net) -> None:
    net.gain = 3.0


def edit(path: Path, **fields: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


@pytest.fixture
def vit(tiny_models: TinyModels, tmp_path: Path) -> Path:
    """A copy of the small ViT, to be changed."""
    return Path(shutil.copytree(tiny_models.vit, tmp_path / "vit"))


# B1: the network


def test_an_encoder_trained_between_two_calls(tmp_path: Path) -> None:
    net = Net()
    encoder, data = load_encoder(net), pictures(5)
    inverted(encoder, data, tmp_path / "out")
    train(net)
    refused_or_fresh(
        lambda: inverted(encoder, data, tmp_path / "out"),
        lambda: inverted(net, data, tmp_path / "fresh"),
    )


def test_a_module_trained_between_two_calls(tmp_path: Path) -> None:
    net, data = Net(), pictures(5)
    inverted(net, data, tmp_path / "out")
    train(net)
    refused_or_fresh(
        lambda: inverted(net, data, tmp_path / "out"),
        lambda: inverted(net, data, tmp_path / "fresh"),
    )


@pytest.mark.parametrize("change", [bend, heat], ids=["forward", "constant"])
def test_equal_weights_but_another_forward_pass(change: Change, tmp_path: Path) -> None:
    net, data = Net(), pictures(5)
    inverted(net, data, tmp_path)
    change(net)
    with pytest.raises(RequestError):
        inverted(net, data, tmp_path)


def test_another_forward_pass_never_continues_a_set(tmp_path: Path) -> None:
    net, options = Watched(fuse=30), {"method": "paper", "steps": 20, "batch_size": 2}
    with pytest.raises(KeyboardInterrupt):
        inverted(net, pictures(8), tmp_path, **options)
    assert rows(tmp_path)
    net.fuse = None
    bend(net)
    with pytest.raises(RequestError):
        inverted(net, pictures(8), tmp_path, **options)


# B2: processor and configuration of a local checkpoint


@pytest.mark.parametrize(
    "change",
    [
        {"resample": 0},
        {
            "image_processor_type": "ConvNextImageProcessor",
            "size": {"shortest_edge": 32},
            "crop_pct": 0.5,
        },
    ],
    ids=["resample", "crop"],
)
def test_a_changed_processor(change: dict[str, Any], vit: Path, tmp_path: Path) -> None:
    data = pictures(5, side=40)
    inverted(str(vit), data, tmp_path / "out")
    edit(vit / "preprocessor_config.json", **change)
    refused_or_fresh(
        lambda: inverted(str(vit), data, tmp_path / "out"),
        lambda: inverted(str(vit), data, tmp_path / "fresh"),
    )


def sharpen(folder: Path) -> None:
    """Make the attention matter: small random weights attend to everything alike."""
    path = folder / "model.safetensors"
    weights = load_file(path)
    sharp = {
        k: w * 60 if k.endswith(("query.weight", "key.weight")) else w for k, w in weights.items()
    }
    save_file(sharp, path, {"format": "pt"})


@pytest.mark.parametrize("change", [{"hidden_act": "relu"}, {"num_attention_heads": 4}])
def test_a_changed_configuration(change: dict[str, Any], vit: Path, tmp_path: Path) -> None:
    data = pictures(5, side=32)
    sharpen(vit)
    inverted(str(vit), data, tmp_path / "out")
    edit(vit / "config.json", **change)
    with pytest.raises(RequestError):
        inverted(str(vit), data, tmp_path / "out")


# B3: the images


def palette_images(colours: bytes, count: int = 5) -> list[Image.Image]:
    rng, found = np.random.default_rng(0), []
    for _ in range(count):
        image = Image.fromarray(rng.integers(0, 4, (8, 8), dtype=np.uint8)).copy()
        image.putpalette(colours)
        found.append(image)
    return found


def test_images_that_differ_in_their_palette_alone(tmp_path: Path) -> None:
    first, second = (
        dataset_of(palette_images(bytes(p))) for p in (range(0, 120, 10), range(240, 120, -10))
    )
    assert first[0]["image"].mode == "P"
    net = Net()
    inverted(net, first, tmp_path / "out")
    refused_or_fresh(
        lambda: inverted(net, second, tmp_path / "out"),
        lambda: inverted(net, second, tmp_path / "fresh"),
    )


def test_an_image_that_changed_is_refused_on_continuing(tmp_path: Path) -> None:
    data = picture_folder(tmp_path / "data", 10)
    first = inverted(Net(), str(data), tmp_path / "out", num_samples=6)
    changed = data / f"{int(first.index[5]):02d}.png"
    Image.new("RGB", (8, 8), (9, 90, 200)).save(changed)
    with pytest.raises(RequestError):
        inverted(Net(), str(data), tmp_path / "out", num_samples=10)


# B4: options beside an Encoder or a module


def test_the_layer_beside_an_encoder_is_read(tiny_models: TinyModels) -> None:
    data, at = pictures(5, side=32), {"layer": "logits", "reference_layer": "logits"}
    a, b = tiny_models.resnet, tiny_models.vit
    found = compared(load_encoder(a), load_encoder(b), data, **at).scores[0]
    expected = compared(a, b, data, **at).scores[0]
    assert found.stir == pytest.approx(expected.stir, abs=1e-4)
    assert (found.layer, found.reference_layer) == (expected.layer, expected.reference_layer)


def test_the_layer_beside_a_judged_encoder_is_read() -> None:
    inversions = inverted(Net(), pictures(5))
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 4), nn.Tanh(), nn.Linear(4, 3))
    found, expected = (
        stir_hf.score(model, inversions, layer="1", progress=False).scores[0]
        for model in (load_encoder(network), network)
    )
    assert found.stir == pytest.approx(expected.stir, abs=1e-5)


@pytest.mark.parametrize(
    "option",
    [{"device": "cuda"}, {"dtype": "float64"}, {"image_mode": "L"}, {"revision": "main"}],
    ids=lambda option: next(iter(option)),
)
def test_what_an_encoder_cannot_follow_is_refused(option: dict[str, Any]) -> None:
    with pytest.raises(RequestError):
        inverted(load_encoder(Net()), pictures(5), **option)


@pytest.mark.parametrize(
    "option", [{"dtype": "float64"}, {"revision": "main"}], ids=lambda option: next(iter(option))
)
def test_what_a_module_cannot_follow_is_refused(option: dict[str, Any]) -> None:
    with pytest.raises(RequestError):
        inverted(Net(), pictures(5), **option)


@pytest.mark.parametrize("option", [{"device": "cuda"}, {"image_mode": "L"}])
def test_another_device_or_mode_of_a_module_is_refused(option: dict[str, Any]) -> None:
    with pytest.raises(RequestError):
        inverted(Net(), pictures(5), **option)


def test_the_recorded_dtype_is_what_ran() -> None:
    result = compared(Net().double(), Net(1).double(), pictures(5))
    recorded = set(values_of("dtype", result.to_dict()["config"]))
    assert recorded - {None} == {"float64"}
