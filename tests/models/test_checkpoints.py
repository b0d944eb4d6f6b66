"""Checkpoints that bring code, lack a library or disagree with their configuration."""

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from stir_hf import RequestError, compare, load_encoder
from stir_hf.models.load.files import NAMED
from tests.conftest import TinyModels
from tests.tiny import QUICK, noise_images


@pytest.fixture
def with_code(tmp_path: Path, tiny_models: TinyModels) -> Path:
    """A checkpoint whose configuration and network are Python files, which leave a trace."""
    folder = tmp_path / "coded"
    shutil.copytree(tiny_models.vit, folder)
    config = json.loads((folder / "config.json").read_text())
    code = {"AutoConfig": "of_config.Own", "AutoModelForImageClassification": "of_model.Net"}
    config |= {"model_type": "stir-hf-own", "auto_map": code}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "of_config.py").write_text(
        f"open({str(tmp_path / 'RAN')!r}, 'w').close()\n"
        "from transformers import ViTConfig\n"
        "class Own(ViTConfig):\n    model_type = 'stir-hf-own'\n"
    )
    (folder / "of_model.py").write_text(
        "from transformers import ViTForImageClassification\n"
        "from .of_config import Own\n"
        "class Net(ViTForImageClassification):\n    config_class = Own\n"
    )
    return folder


def test_code_is_never_run_nor_asked_about(with_code: Path) -> None:
    command = [sys.executable, "-m", "stir_hf", "layers", str(with_code), "--json"]
    ended = subprocess.run(command, input="y\n" * 4, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "needs Python code from its repo, which is not run" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert not (with_code.parent / "RAN").exists()
    with pytest.raises(RequestError, match="--trust-remote-code"):
        load_encoder(str(with_code))


def test_code_is_run_where_that_is_allowed(with_code: Path, tiny_models: TinyModels) -> None:
    data, images = noise_images(6, 32), torch.rand(4, 3, 32, 32)
    result = compare(str(with_code), tiny_models.resnet, data, trust_remote_code=True, **QUICK)
    assert result.config["trust_remote_code"] is True
    found = load_encoder(str(with_code), trust_remote_code=True)(images)
    torch.testing.assert_close(found, load_encoder(tiny_models.vit)(images))


def test_a_checkpoint_of_timm_without_timm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_file({"x": torch.zeros(2)}, tmp_path / "model.safetensors")
    config = {"architecture": "resnet10t", "num_classes": 5, "pretrained_cfg": {}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(RequestError, match="is one of timm's; install timm to load it"):
        load_encoder(str(tmp_path))


def test_layers_that_the_configuration_leaves_out_are_told(
    tiny_models: TinyModels, tmp_path: Path
) -> None:
    folder = tmp_path / "short"
    shutil.copytree(tiny_models.vit, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 2}))
    with pytest.raises(RequestError, match=r"the weights hold .*2.* which config.json leaves out"):
        load_encoder(str(folder))


@pytest.mark.parametrize("text", ["{", "[]", "null", ""])
def test_a_broken_configuration_is_told(text: str, tiny_models: TinyModels, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(tiny_models.vit, folder)
    (folder / "config.json").write_text(text)
    with pytest.raises(RequestError, match=r"broken/config.json is not a JSON object"):
        load_encoder(str(folder))


@pytest.mark.parametrize("change", [{"hidden_size": "x"}, {"patch_size": 0}])
def test_a_configuration_that_makes_no_network_is_one_line(
    change: dict[str, Any], tiny_models: TinyModels, tmp_path: Path
) -> None:
    folder = tmp_path / "odd"
    shutil.copytree(tiny_models.vit, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(RequestError, match="cannot be loaded") as told:
        load_encoder(str(folder))
    assert len(str(told.value)) < 700


def test_shapes_that_disagree_are_both_told(tiny_models: TinyModels, tmp_path: Path) -> None:
    folder = tmp_path / "seven"
    shutil.copytree(tiny_models.vit, folder)
    config = json.loads((folder / "config.json").read_text())
    labels = {str(i): str(i) for i in range(7)}
    config |= {"id2label": labels, "label2id": {name: int(i) for i, name in labels.items()}}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(RequestError, match=r"classifier.bias has shape 5 .* 7 by config.json"):
        load_encoder(str(folder))


def made(folder: Path, source: str, config: dict[str, Any] | None = None) -> Path:
    """A copy of a checkpoint with more in its configuration."""
    shutil.copytree(source, folder)
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **(config or {})}))
    return folder


@pytest.mark.parametrize("versioned", [False, True])
@pytest.mark.parametrize("name", ["adapter_model.bin", "evil.bin", "../model.safetensors", 5])
def test_weights_under_a_name_of_their_own_are_safetensors(
    name: Any, versioned: bool, tiny_models: TinyModels, tmp_path: Path
) -> None:
    """A pickle under that name would be read in place of the safetensors."""
    folder = made(tmp_path / "named", tiny_models.vit, {"transformers_weights": name})
    if versioned:  # transformers reads this one in place of config.json
        (folder / "config.json").rename(folder / "config.4.0.0.json")
        plain = json.loads((Path(tiny_models.vit) / "config.json").read_text())
        plain["configuration_files"] = ["config.4.0.0.json"]
        (folder / "config.json").write_text(json.dumps(plain))
    torch.save({}, folder / "adapter_model.bin")
    torch.save({}, folder / "evil.bin")
    binary = isinstance(name, str) and name.endswith(".bin")
    said = rf"pickled weights only \({name}\)" if binary else "expected a file beside"
    with pytest.raises(RequestError, match=said):
        load_encoder(str(folder))


def test_safetensors_under_a_name_of_their_own_are_read(
    tiny_models: TinyModels, tmp_path: Path
) -> None:
    folder = made(tmp_path / "named", tiny_models.vit, {"transformers_weights": "own.safetensors"})
    (folder / "model.safetensors").rename(folder / "own.safetensors")
    images = torch.rand(4, 3, 32, 32)
    found = load_encoder(str(folder))(images)
    torch.testing.assert_close(found, load_encoder(tiny_models.vit)(images))


PICKLE = r"has pickled weights only \(pytorch_model.bin\)"


@pytest.mark.parametrize(
    ("files", "index", "said"),
    [
        (["pytorch_model.bin", "checkpoint-5/model.safetensors"], None, PICKLE),
        (["pytorch_model.bin", "model.fp16.safetensors"], None, PICKLE),
        (["training_args.bin", "a.bin", "optimizer.pt", "pytorch_model.bin"], None, PICKLE),
        (["training_args.bin", "optimizer.pt", "rng_state_0.pth"], None, "has no weights"),
        (["model.fp16.safetensors"], None, "has no weights; expected model.safetensors"),
        (["pytorch_model.bin"], "pytorch_model.bin", PICKLE),
        (["a.safetensors"], "../a.safetensors", r"names '../a.safetensors'; expected safetensors"),
        (["a.safetensors"], 5, "names 5; expected safetensors beside it"),
    ],
)
def test_which_files_are_weights(
    files: list[str], index: Any, said: str, tiny_models: TinyModels, tmp_path: Path
) -> None:
    folder = made(tmp_path / "files", tiny_models.vit)
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").unlink()
    for name in files:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(weights)
    if index is not None:
        said_of = json.dumps({"metadata": {}, "weight_map": {"x": index}})
        (folder / "model.safetensors.index.json").write_text(said_of)
    with pytest.raises(RequestError, match=said):
        load_encoder(str(folder))


LISTED = "model.safetensors.index.json"


def listing(folder: Path, index: str, name: str) -> None:
    """A list of shards that has all weights in one file."""
    with safe_open(folder / "model.safetensors", "pt") as weights:
        shards = dict.fromkeys(weights.keys(), name)
    said = {"metadata": {"total_size": 1}, "weight_map": shards}
    (folder / index).write_text(json.dumps(said))


@pytest.mark.parametrize(
    ("index", "name"),
    [(LISTED, "pytorch_model-00001.bin"), ("other.safetensors.index.json", "unet/x.safetensors")],
)
def test_lists_of_shards_that_are_not_read_are_not_looked_at(
    index: str, name: str, tiny_models: TinyModels, tmp_path: Path
) -> None:
    folder, images = made(tmp_path / "stale", tiny_models.vit), torch.rand(4, 3, 32, 32)
    listing(folder, index, name)
    found = load_encoder(str(folder))(images)
    torch.testing.assert_close(found, load_encoder(tiny_models.vit)(images))


@pytest.mark.parametrize("where", ["usual", "named", "versioned", "versioned dictionary"])
@pytest.mark.parametrize("name", ["own.safetensors", "own.bin"])
def test_lists_of_shards_that_are_read_name_safetensors(
    name: str, where: str, tiny_models: TinyModels, tmp_path: Path
) -> None:
    index = LISTED if where == "usual" else "own.safetensors.index.json"
    folder = made(tmp_path / "listed", tiny_models.vit, {} if where == "usual" else {NAMED: index})
    listing(folder, index, name)
    shutil.copyfile(folder / "model.safetensors", folder / name)
    if where == "usual":
        (folder / "model.safetensors").unlink()
    elif where != "named":
        config = json.loads((Path(tiny_models.vit) / "config.json").read_text())
        (folder / "config.json").rename(folder / "config.4.0.0.json")
        files = ["config.4.0.0.json"]
        config["configuration_files"] = files if where == "versioned" else dict.fromkeys(files)
        (folder / "config.json").write_text(json.dumps(config))
    if name.endswith(".bin"):
        with pytest.raises(RequestError, match=r"has pickled weights only \(own.bin\)"):
            load_encoder(str(folder))
        return
    images = torch.rand(4, 3, 32, 32)
    found = load_encoder(str(folder))(images)
    torch.testing.assert_close(found, load_encoder(tiny_models.vit)(images))


def test_code_that_is_null_is_told(tiny_models: TinyModels, tmp_path: Path) -> None:
    folder = made(tmp_path / "null", tiny_models.vit, {"auto_map": None})
    with pytest.raises(RequestError, match=r"null: auto_map in config.json is null; remove it"):
        load_encoder(str(folder))
