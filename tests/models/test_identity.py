"""What makes an encoder what it is: content, never spelling."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as tf

from stir_hf import Encoder, RequestError, load_encoder
from stir_hf.inputs.images import PixelMap
from stir_hf.models.images.pixels import _rounded as rounded
from tests.conftest import TinyModels
from tests.models.networks import Classifier, Small, as_checkpoint


def load(model: str | Path, layer: str | None = None, **options: Any) -> Encoder:
    return load_encoder(str(model), layer, device="cpu", **options)


@pytest.fixture
def vit(tiny_models: TinyModels, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_models.vit, tmp_path / "m"))


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_it_has_these_parts_and_is_json(vit: Path) -> None:
    identity = load(vit).identity()
    assert json.loads(json.dumps(identity)) == identity
    assert set(identity) == {"weights", "tap", "precision", "canvas", "processor", "pixels"}
    assert identity["canvas"] == {"mode": "RGB", "size": [32, 32]}
    assert identity["precision"] == {"dtype": "float32"}
    assert identity["pixels"]["bias"] == [-1, -1, -1]
    assert identity["tap"] == {
        "module": "classifier",
        "at": "input",
        "part": None,
        "pooling": "flatten",
        "call": 0,
    }
    module = load_encoder(Small())
    module.find_layer((8, 8))
    assert module.identity()["canvas"] == {"mode": "RGB", "size": None}


def test_the_spelling_of_a_folder_plays_no_part(vit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(vit.parent)
    encoders = [load(spelling) for spelling in ("m", "./m/", vit, f"{vit}{os.sep}.")]
    assert all(e.identity() == encoders[0].identity() for e in encoders)
    assert len({e.label for e in encoders}) == 1
    assert encoders[0].name == "m"
    name, _, digits = encoders[1].label.partition("#")
    assert name == "m"
    assert len(digits) == 8
    assert encoders[1].recorded()["name"] == encoders[1].label
    assert load(vit, "logits").label == encoders[0].label
    assert load(vit, name="mine").label == "mine"
    other = shutil.move(vit, vit.parent / "renamed")
    assert load(other).identity() == encoders[0].identity()


def test_weights_that_are_trained_in_place(vit: Path) -> None:
    encoder = load(vit)
    before, label = encoder.identity(), encoder.label
    with torch.no_grad():
        next(encoder.module.parameters()).add_(1e-3)
    after = encoder.identity()
    assert after["weights"] != before["weights"]
    assert {**after, "weights": 0} == {**before, "weights": 0}
    assert encoder.label != label
    for parameter in encoder.module.parameters():
        parameter.data.zero_()
    assert encoder.identity()["weights"] != after["weights"]


def test_shapes_and_names_count() -> None:
    def weights(*parameters: tuple[str, torch.Tensor]) -> str:
        module = Small()
        for name, value in parameters:
            module.register_buffer(name, value)
        torch.nn.init.zeros_(module.conv.weight)
        for parameter in module.parameters():
            parameter.data.zero_()
        encoder = load_encoder(module)
        encoder.find_layer((8, 8))
        return str(encoder.identity()["weights"])

    flat = torch.zeros(4)
    found = [
        weights(("a", flat)),
        weights(("b", flat)),
        weights(("a", flat.view(2, 2))),
        weights(("a", flat.int())),
    ]
    assert len(set(found)) == 4
    assert weights(("a", flat)) == found[0]


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ({"resample": 3}, {"processor"}),
        ({"resample": 0}, {"processor"}),
        ({"image_mean": [0.4, 0.5, 0.5]}, {"pixels"}),
        ({"size": {"height": 32, "width": 32}}, set()),
    ],
    ids=str,
)
def test_another_processor(vit: Path, values: dict[str, Any], parts: set[str]) -> None:
    before = load(vit).identity()
    change(vit / "preprocessor_config.json", **values)
    after = load(vit).identity()
    assert {part for part in after if after[part] != before[part]} == parts


def test_another_crop(tmp_path: Path, tiny_models: TinyModels) -> None:
    found = []
    for edge in (36, 40):
        folder = Path(shutil.copytree(tiny_models.resnet, tmp_path / str(edge)))
        crop = {"height": 32, "width": 32}
        tf.BitImageProcessor(size={"shortest_edge": edge}, crop_size=crop).save_pretrained(folder)
        found.append(load(folder).identity())
    assert found[0]["processor"] != found[1]["processor"]
    assert {**found[0], "processor": 0} == {**found[1], "processor": 0}


def test_another_activation_shows_in_the_probe(vit: Path) -> None:
    def probe(encoder: Encoder) -> torch.Tensor:
        with encoder.session() as session:
            return session.check(session.network.kind((32, 32)), gradient=True)

    before = load(vit)
    change(vit / "config.json", hidden_act="relu")
    after = load(vit)
    assert after.identity() == before.identity()
    difference = (probe(after) - probe(before)).norm() / probe(before).norm()
    assert difference > 1e-3
    assert torch.equal(probe(after), probe(load(vit)))


def test_pooling_and_precision_count(vit: Path) -> None:
    found = [load(vit, f"vit.layers.0:{p}").identity()["tap"] for p in ("mean", "max", "cls")]
    assert len({json.dumps(tap) for tap in found}) == 3
    half = load(vit, dtype="bfloat16").identity()
    assert half["precision"] == {"dtype": "bfloat16"}
    assert half["weights"] != load(vit).identity()["weights"]


def test_no_zero_is_negative() -> None:
    pixels = PixelMap(-torch.zeros(1, 1, dtype=torch.float64), torch.tensor([-1e-9]).double())
    assert json.dumps(rounded(pixels)) == '{"matrix": [[0.0]], "bias": [0.0]}'


def test_what_is_recorded(vit: Path) -> None:
    recorded = load(vit, "logits").recorded()
    assert recorded["layer"] == "logits"
    assert recorded["revision"] is None
    assert recorded["module_class"] == "ViTForImageClassification"
    assert recorded["processor_class"].startswith("ViTImageProcessor")


def test_an_encoder_is_taken_as_it_is(vit: Path) -> None:
    encoder = load(vit)
    assert load_encoder(encoder) is encoder
    same = load_encoder(encoder, "penultimate", device="cpu", dtype="float32", channels=3)
    assert same is encoder
    other = load_encoder(encoder, "logits")
    assert other.module is encoder.module
    assert other.layer == "logits"
    assert encoder.layer == "penultimate"
    assert other.label == encoder.label
    named = load_encoder(encoder, name="mine")
    assert (named.name, named.label, encoder.name) == ("mine", "mine", str(vit))
    assert named.identity() == encoder.identity()
    options: list[tuple[dict[str, Any], str]] = [
        ({"device": "meta"}, "meta"),
        ({"dtype": "float64"}, "is in float32, not float64"),
        ({"dtype": "float23"}, "dtype 'float23' is unknown"),
        ({"revision": "main"}, "not 'main'"),
        ({"channels": 1}, "takes RGB images, not 'L'"),
        ({"layer": "vit.layer.1"}, "no layer 'vit.layer.1'"),
    ]
    for option, words in options:
        with pytest.raises(RequestError, match=words):
            load_encoder(encoder, **option)


def test_a_module_is_taken_as_it_is() -> None:
    module = Small().double()
    assert load_encoder(module).dtype == torch.float64
    assert load_encoder(module, dtype="float64", device="cpu").dtype == torch.float64
    with pytest.raises(RequestError, match="Small is in float64, not float32"):
        load_encoder(module, dtype="float32")
    with pytest.raises(RequestError, match="not 'main'"):
        load_encoder(module, revision="main")


def test_a_checkpoint_of_another_mode_is_refused(vit: Path) -> None:
    assert load(vit, channels=3).kind((8, 8)).shape[0] == 3
    with pytest.raises(RequestError, match="takes RGB images, not 'L'"):
        load(vit, channels=1)


def test_float16_is_for_judging(vit: Path) -> None:
    half = load(vit, dtype="float16")
    assert half(torch.rand(2, 3, 32, 32)).dtype == torch.float32
    with half.session() as session:
        session.check(session.network.kind((32, 32)), gradient=False)
    with pytest.raises(RequestError, match="bfloat16 or float32"):
        half.check_invertible()
    for dtype in ("bfloat16", "float32"):
        load(vit, dtype=dtype).check_invertible()


def test_canvas_and_kind(vit: Path) -> None:
    from PIL import Image

    encoder = load(vit)
    canvas = encoder.canvas(Image.new("RGBA", (50, 40), (10, 20, 30, 0)))
    assert canvas.shape == encoder.kind((32, 32)).shape == (3, 32, 32)
    assert canvas.dtype.name == "uint8"
    assert bool((canvas == 255).all())
    assert encoder.kind((32, 32)).spelling() == {"kind": "image", "mode": "RGB", "size": [32, 32]}


def test_at_keeps_the_network_and_its_state() -> None:
    encoder = as_checkpoint(Classifier())
    other = encoder.at("act")
    assert other.module is encoder.module
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(other(images), encoder(images))
    assert other.at("penultimate").identity() == other.identity() == encoder.identity()
