"""Networks that do not fit on one device, and quantised ones."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as tf
from torch import nn

import stir_hf
from stir_hf import RequestError, load_encoder
from stir_hf.models.load.identity import hash_of_weights
from tests.conftest import TinyModels
from tests.test_cli import run
from tests.tiny import QUICK, noise_images

PARTS = {
    "vit.embeddings": "disk",
    "vit.layers.0": "cpu",
    "vit.layers.1": "disk",
    "vit.layers.2": "disk",
    "vit.layernorm": "disk",
    "classifier": "cpu",
}
"""Parts of a network, some of which are read from the disk when they compute."""


@pytest.fixture
def spread(tiny_models: TinyModels) -> Any:
    return tf.ViTForImageClassification.from_pretrained(tiny_models.vit, device_map=PARTS)


def state_of(module: nn.Module) -> list[tuple[str, str, bool]]:
    return [(name, str(p.device), p.requires_grad) for name, p in module.named_parameters()]


@pytest.mark.parametrize(
    "layer", ["penultimate", "logits", "hidden_states[1]", "vit.embeddings.patch_embeddings"]
)
def test_a_spread_network_is_the_same_as_a_whole_one(
    layer: str, spread: Any, tiny_models: TinyModels
) -> None:
    assert any(p.is_meta for p in spread.parameters())
    before, images = state_of(spread), torch.rand(3, 3, 32, 32)
    one = load_encoder(spread, layer, processor=tiny_models.vit)
    other = load_encoder(tiny_models.vit, layer, device="cpu")
    torch.testing.assert_close(one(images), other(images))
    assert one.identity() == other.identity()
    assert state_of(spread) == before
    values = images.requires_grad_()
    found = one(values)
    (found * torch.randn_like(found)).sum().backward()  # type: ignore[no-untyped-call]  # torch's
    assert values.grad is not None
    assert bool(values.grad.any())
    assert state_of(spread) == before


def test_of_a_spread_network_weights_that_lack_are_no_part_of_what_it_is(
    spread: Any, tiny_models: TinyModels
) -> None:
    missing = frozenset({"vit.layers.1.mlp.fc1.weight", "classifier.weight"})
    whole = tf.ViTForImageClassification.from_pretrained(tiny_models.vit)
    names = dict(spread.named_parameters())
    assert missing <= set(names)
    assert names["vit.layers.1.mlp.fc1.weight"].is_meta
    expected = hash_of_weights(whole, missing)
    assert hash_of_weights(spread, missing) == expected != hash_of_weights(whole)


def test_a_spread_network_is_inverted_as_a_whole_one(spread: Any, tiny_models: TinyModels) -> None:
    images, before = noise_images(6, 32), state_of(spread)
    quick = {name: value for name, value in QUICK.items() if name != "measure"}
    whole = load_encoder(tiny_models.vit, device="cpu")
    one, other = (
        stir_hf.invert(encoder, images, **quick)
        for encoder in (load_encoder(spread, processor=tiny_models.vit), whole)
    )
    assert one.manifest.hash == other.manifest.hash
    np.testing.assert_allclose(one.relative_error, other.relative_error, rtol=1e-3)
    assert state_of(spread) == before


def test_auto_spreads_a_checkpoint(
    tiny_models: TinyModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    def small(*_: Any, **__: Any) -> dict[Any, int]:
        return {"cpu": 30_000}

    monkeypatch.setattr("transformers.integrations.accelerate.get_max_memory", small)
    images = torch.rand(3, 3, 32, 32)
    one = load_encoder(tiny_models.vit, device="auto")
    assert any(p.is_meta for p in one.module.parameters())
    other = load_encoder(tiny_models.vit, device="cpu")
    torch.testing.assert_close(one(images), other(images))
    assert one.identity() == other.identity()


def test_auto_where_one_device_is_enough(
    tiny_models: TinyModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    load = tf.PreTrainedModel.from_pretrained.__func__  # type: ignore[attr-defined]  # of the class

    def spied(cls: Any, *words: Any, **how: Any) -> Any:
        asked.append(how.get("device_map"))
        return load(cls, *words, **how)

    monkeypatch.setattr(tf.PreTrainedModel, "from_pretrained", classmethod(spied))
    images = torch.rand(3, 3, 32, 32)
    one, other = (load_encoder(tiny_models.resnet, device=name) for name in ("auto", "cpu"))
    torch.testing.assert_close(one(images).cpu(), other(images))
    assert asked == ["auto", None]


@pytest.mark.filterwarnings("ignore")  # torch's, of what replaces this module
def test_a_quantised_module_is_judged_and_not_inverted(tiny_models: TinyModels) -> None:
    model: Any = tf.ViTForImageClassification.from_pretrained(tiny_models.vit)
    linear = {nn.Linear}
    small = torch.ao.quantization.quantize_dynamic(model, linear, dtype=torch.qint8)  # type: ignore[no-untyped-call]  # torch's
    small.name_or_path = tiny_models.vit
    images = noise_images(8, 32)
    made = stir_hf.invert(tiny_models.vit, images, steps=5, progress=False)
    (score,) = stir_hf.score(small, made, progress=False).scores
    assert score.similarity is not None
    assert 0 < score.similarity < 1
    with pytest.raises(RequestError, match="carries no gradient to the inputs"):
        stir_hf.invert(small, images, progress=False)


def test_a_quantised_checkpoint_is_refused_for_inversion(
    tiny_models: TinyModels, image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = load_encoder(tiny_models.vit, device="cpu")
    encoder.network.quantised = "bitsandbytes"
    with pytest.raises(RequestError, match=r"is quantised \(bitsandbytes\): it has no gradient"):
        stir_hf.invert(encoder, str(image_folder), progress=False)


def test_what_a_quantised_checkpoint_needs_is_told(
    tiny_models: TinyModels, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in Path(tiny_models.vit).iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "hqq", "weights": {}}  # installed nowhere
    (tmp_path / "config.json").write_text(json.dumps(config))
    code, out, err = run(["layers", str(tmp_path)], capsys)
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert "hqq" in line.lower()


@pytest.mark.filterwarnings("ignore:The following device_map keys do not match")
def test_a_network_that_cannot_be_spread_is_told_to_choose_a_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.families.checkpoints import processor_of
    from tests.families.zoo import MEMBERS

    def small(*_: Any, **__: Any) -> dict[Any, int]:
        return {"cpu": 60_000}

    MEMBERS["siglip"].make().save_pretrained(tmp_path)
    processor_of("siglip", 32).save_pretrained(tmp_path)
    monkeypatch.setattr("transformers.integrations.accelerate.get_max_memory", small)
    with pytest.raises(RequestError, match=r"cannot be spread over several devices.*--device cpu"):
        load_encoder(str(tmp_path), device="auto")


def test_a_quantised_tower_is_told_apart_by_how_the_whole_computes() -> None:
    from types import SimpleNamespace

    from stir_hf.models.load.identity import quantised_weights
    from stir_hf.models.load.memory import network_in_memory
    from tests.families.zoo import MEMBERS

    model: Any = MEMBERS["clip"].make().eval()
    processor = tf.CLIPImageProcessor(size={"height": 32, "width": 32}, do_center_crop=False)

    def weights(bits: int) -> str | None:
        model.config.quantization_config = {"quant_method": "bitsandbytes", "bits": bits}
        network = network_in_memory(model, processor, 3, None, trust_remote_code=False)
        assert network.quantised == "bitsandbytes"
        return network.weights

    assert weights(4) == weights(4) != weights(8)
    whole = SimpleNamespace(quantization_config={"quant_method": "bitsandbytes", "bits": 8})
    assert weights(8) == quantised_weights(model.vision_model, whole)
