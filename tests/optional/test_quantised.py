"""Checkpoints whose weights are quantised, by the libraries that do it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as tf
from torchao.quantization import Int8WeightOnlyConfig

import stir_hf
from stir_hf import RequestError
from stir_hf.demo import IMAGES
from tests.families.checkpoints import build
from tests.test_cli import run
from tests.tiny import pixels_of

METHODS: dict[str, Callable[[], Any]] = {
    "bitsandbytes 8": lambda: tf.BitsAndBytesConfig(load_in_8bit=True),
    "bitsandbytes 4": lambda: tf.BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_compute_dtype=torch.float32
    ),
    "torchao": lambda: tf.TorchAoConfig(Int8WeightOnlyConfig()),
}
QUICK: dict[str, Any] = {"steps": 20, "num_samples": 12, "device": "cpu", "progress": False}


@pytest.mark.filterwarnings("ignore")  # the libraries' own
def test_weights_that_are_not_what_the_configuration_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build("vit", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_8bit": True}
    (tmp_path / "config.json").write_text(json.dumps(config))
    capsys.readouterr()
    code, out, err = run(["layers", str(tmp_path)], capsys)
    assert (code, out) == (2, "")
    assert "is quantised (bitsandbytes) and does not run here" in err


def runs(folder: Path, values: torch.Tensor) -> bool:
    """Whether `transformers` itself runs a checkpoint here: bitsandbytes 0.50 cannot run 4 bits of
    narrow networks on a processor with AVX-512.
    """
    model = tf.AutoModelForImageClassification.from_pretrained(folder, device_map={"": "cpu"})
    try:
        with torch.no_grad():
            model(pixel_values=values)
    except RuntimeError:
        return False
    return True


@pytest.mark.filterwarnings("ignore")  # the libraries' own
@pytest.mark.parametrize("method", METHODS)
def test_it_is_judged_and_not_inverted(
    method: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, small = tmp_path / "whole", tmp_path / "small"
    build("vit", whole)
    model = tf.AutoModelForImageClassification.from_pretrained(
        whole, quantization_config=METHODS[method](), device_map={"": "cpu"}
    )
    model.save_pretrained(small)
    (small / "preprocessor_config.json").write_bytes(
        (whole / "preprocessor_config.json").read_bytes()
    )
    values = torch.rand(4, 3, 32, 32)
    if not runs(small, values):
        with pytest.raises(RequestError, match=r"is quantised .* and does not run here"):
            stir_hf.load_encoder(str(small), device="cpu")
        return
    encoder = stir_hf.load_encoder(str(small), device="cpu")
    with torch.no_grad():
        expected = model.vit(pixels_of(encoder).map(values)).last_hidden_state[:, 0]
    torch.testing.assert_close(encoder(values), expected.float(), rtol=1e-2, atol=1e-2)
    made = stir_hf.invert(str(whole), str(IMAGES), **QUICK)
    one, other = stir_hf.score([str(small), encoder], made, device="cpu", progress=False).scores
    assert one.similarity is not None
    assert 0.9 < one.similarity < 1
    assert one.network_id == other.network_id
    with pytest.raises(RequestError, match="is quantised"):
        stir_hf.invert(encoder, str(IMAGES), **QUICK)
    command = ["compare", str(whole), str(small), "--dataset", str(IMAGES), "--device", "cpu"]
    code, out, err = run(command, capsys)
    assert (code, out) == (2, "")
    assert f"is quantised ({method.split(maxsplit=1)[0]})" in err
