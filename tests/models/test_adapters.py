"""Adapters: merged into their base, or said to be one; beside full weights, out of sight."""

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
import transformers as tf

from stir_hf import RequestError, compare, load_encoder
from stir_hf.models.load.adapters import Adapter, read_adapter
from tests.conftest import TinyModels
from tests.tiny import QUICK, noise_images

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")


def attention(model: Any) -> str:
    """The first projection of queries, whatever this version of transformers calls it."""
    names = [str(n) for n, m in model.named_modules() if isinstance(m, torch.nn.Linear)]
    return next(n for n in names if n.endswith(("query", "q_proj")))


def adapt(base: str, folder: Path, **options: Any) -> tuple[str, Any]:
    """An adapter of a base, with weights that are not zero: its folder, and the model with it."""
    model: Any = tf.AutoModelForImageClassification.from_pretrained(base)
    target = attention(model).rpartition(".")[2]
    config = peft.LoraConfig(r=2, lora_alpha=6, target_modules=[target], **options)
    adapted: Any = peft.get_peft_model(model, config)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_" in name or "modules_to_save" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) / 4)
    adapted.save_pretrained(folder)
    return str(folder), adapted.eval()


def test_an_adapter_is_merged_into_its_base(tiny_models: TinyModels, tmp_path: Path) -> None:
    folder, _ = adapt(tiny_models.vit, tmp_path / "adapter")
    stored = {
        key.rpartition("lora_")[2][0]: value
        for key, value in peft.utils.load_peft_weights(folder, device="cpu").items()
        if ".0." in key
    }
    base: Any = tf.AutoModelForImageClassification.from_pretrained(tiny_models.vit)
    name = attention(base)
    expected = base.get_submodule(name).weight + 6 / 2 * stored["B"] @ stored["A"]
    encoder = load_encoder(folder)
    torch.testing.assert_close(encoder.module.get_submodule(name).weight, expected)
    assert encoder.notes == ("an adapter, merged into its base vit",)


def test_a_merged_adapter_gives_what_the_adapted_model_gives(
    tiny_models: TinyModels, tmp_path: Path
) -> None:
    folder, adapted = adapt(tiny_models.vit, tmp_path, modules_to_save=["classifier"])
    images = torch.rand(4, 3, 32, 32)
    with torch.no_grad():
        expected = adapted(pixel_values=(images - 0.5) / 0.5).logits
    found = load_encoder(folder, "logits")(images)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_classifier_that_the_base_lacks_is_the_adapters(bare_vit: str, tmp_path: Path) -> None:
    config = json.loads((Path(bare_vit) / "config.json").read_text())
    labels = {str(i): str(i) for i in range(7)}
    other = tmp_path / "base"
    shutil.copytree(bare_vit, other)
    more = {"id2label": labels, "label2id": {name: int(i) for i, name in labels.items()}}
    (other / "config.json").write_text(json.dumps({**config, **more}))
    model: Any = tf.AutoModelForImageClassification.from_pretrained(
        str(other), num_labels=7, ignore_mismatched_sizes=True
    )
    target = attention(model).rpartition(".")[2]
    config = peft.LoraConfig(r=2, target_modules=[target], modules_to_save=["classifier"])
    adapted: Any = peft.get_peft_model(model, config)
    adapted.peft_config["default"].base_model_name_or_path = bare_vit
    adapted.save_pretrained(tmp_path / "adapter")
    images = torch.rand(4, 3, 32, 32)
    with torch.no_grad():
        expected = adapted.eval()(pixel_values=(images - 0.5) / 0.5).logits
    found = load_encoder(str(tmp_path / "adapter"), "logits")(images)
    assert found.shape == (4, 7)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_without_peft_it_is_said_to_be_an_adapter(
    tiny_models: TinyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = adapt(tiny_models.vit, tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(RequestError, match=r"is an adapter, of base .*vit; merge it into its base"):
        load_encoder(folder)


def test_an_adapter_beside_full_weights_changes_nothing(
    tiny_models: TinyModels, tmp_path: Path
) -> None:
    shutil.copytree(tiny_models.vit, tmp_path / "both")
    adapter, _ = adapt(tiny_models.vit, tmp_path / "adapter")
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        shutil.copy(Path(adapter) / name, tmp_path / "both" / name)
    images = torch.rand(4, 3, 32, 32)
    with_it, without = load_encoder(str(tmp_path / "both")), load_encoder(tiny_models.vit)
    assert torch.equal(with_it(images), without(images))
    assert with_it.identity() == without.identity()
    result = compare(str(tmp_path / "both"), tiny_models.resnet, noise_images(6, 32), **QUICK)
    assert any("adapter lies beside the full weights" in n for n in result.scores[0].notes)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"base_model_name_or_path": None}, "names no base"),
        ({"base_model_name_or_path": "/nowhere/base"}, "no such model folder: /nowhere/base"),
        ({"base_model_name_or_path": 5}, "names no base"),
        ({"target_modules": ["nothing"]}, "cannot be merged into its base vit"),
        ({"peft_type": "STRANGE"}, "cannot be merged into its base vit"),
        ({"modules_to_save": 5}, "whose modules_to_save is 5; expected names"),
        ({"revision": 7}, r"is an adapter whose revision \(of the base\) is 7; expected"),
    ],
    ids=["no base", "no name", "lost base", "no target", "unknown kind", "no names", "no revision"],
)
def test_an_adapter_that_does_not_fit(
    change: dict[str, Any], said: str, tiny_models: TinyModels, tmp_path: Path
) -> None:
    folder, _ = adapt(tiny_models.vit, tmp_path)
    path = Path(folder) / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(RequestError, match=said):
        load_encoder(folder)


def test_pickled_adapters_are_refused(tiny_models: TinyModels, tmp_path: Path) -> None:
    folder, _ = adapt(tiny_models.vit, tmp_path)
    (Path(folder) / "adapter_model.safetensors").rename(Path(folder) / "adapter_model.bin")
    with pytest.raises(RequestError, match=r"pickled weights only \(adapter_model.bin\)"):
        load_encoder(folder)


def test_other_weights_beside_a_pickled_adapter_are_not_its_own(
    tiny_models: TinyModels, tmp_path: Path
) -> None:
    folder, _ = adapt(tiny_models.vit, tmp_path)
    path = Path(folder) / "adapter_model.safetensors"
    path.rename(path.with_name("adapter_other.safetensors"))
    with pytest.raises(RequestError, match=r"has no weights; expected adapter_model.safetensors"):
        load_encoder(folder)
    path.with_name("adapter_model.bin").write_bytes(b"")
    with pytest.raises(RequestError, match=r"pickled weights only \(adapter_model.bin\)"):
        load_encoder(folder)


def test_whatever_peft_raises_is_one_line(
    tiny_models: TinyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = adapt(tiny_models.vit, tmp_path)

    def fails(*_: Any, **__: Any) -> None:
        raise NotImplementedError("no such layer")

    monkeypatch.setattr(peft.PeftModel, "load_adapter", fails)
    with pytest.raises(RequestError, match="cannot be merged into its base vit here: no such laye"):
        load_encoder(folder)


def test_broken_weights_of_an_adapter_are_told(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "lab/base"}')
    (tmp_path / "adapter_model.safetensors").write_bytes(b"\x08")
    with pytest.raises(RequestError, match="weights of model it are broken or truncated"):
        read_adapter(tmp_path, "it")


@pytest.mark.parametrize(
    ("base", "revision", "commit", "shown"),
    [
        ("lab/base", None, "c0ffee", "lab/base@c0ffee"),
        ("lab/base@main", None, "c0ffee", "lab/base@c0ffee"),
        ("lab/base", "main", "c0ffee", "lab/base@c0ffee"),
        ("lab/base", "main", None, "lab/base@main"),
        ("/tmp/base", None, None, "base"),
    ],
)
def test_the_base_is_shown_at_its_commit(
    base: str, revision: str | None, commit: str | None, shown: str
) -> None:
    assert Adapter(Path(), "it", base, revision, (), None).shown(commit) == shown
