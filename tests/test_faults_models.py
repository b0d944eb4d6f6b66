"""Faults around a network: its classifier, its memory, its precision, its passes, its images."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from torch import Tensor, nn
from transformers.modeling_outputs import ImageClassifierOutput

import stir_hf
from stir_hf import RequestError, RunError, load_encoder
from tests.conftest import TinyModels
from tests.tiny import (
    QUICK,
    Net,
    compared,
    count_decodes,
    dataset_of,
    inverted,
    judged,
    pictures,
    values_of,
)

# C6: the classifier's input


def make_scaled_classes() -> tuple[Any, Any]:
    """A configuration and a classifier whose logits are scaled after its head.

    The output of its stem has the shape of the logits.
    """

    def start(self: Any, config: Any) -> None:
        transformers.PreTrainedModel.__init__(self, config)
        self.stem, self.body, self.head = nn.Linear(3, 5), nn.Linear(5, 7), nn.Linear(7, 5)
        self.post_init()

    def forward(self: Any, pixel_values: Tensor, **_: Any) -> Any:
        inner = torch.tanh(self.body(torch.tanh(self.stem(pixel_values.mean((2, 3))))))
        return ImageClassifierOutput(logits=self.head(inner) / 0.07)

    name = {"model_type": "stir-hf-scaled", "__module__": __name__}
    config = type("ScaledConfig", (transformers.PretrainedConfig,), name)
    parts = {"config_class": config, "main_input_name": "pixel_values", "__module__": __name__}
    parts |= {"__init__": start, "forward": forward}
    network = type("ScaledForImageClassification", (transformers.PreTrainedModel,), parts)
    transformers.AutoConfig.register("stir-hf-scaled", config, exist_ok=True)
    transformers.AutoModelForImageClassification.register(config, network, exist_ok=True)
    return config, network


def layer_or_refusal(folder: str, images: Tensor) -> Tensor | str:
    try:
        return load_encoder(folder, device="cpu")(images)
    except RequestError as error:
        return str(error)


def test_the_penultimate_layer_is_what_the_head_multiplies(tmp_path: Path) -> None:
    config, network = make_scaled_classes()
    torch.manual_seed(0)
    model = network(config()).eval()
    model.save_pretrained(tmp_path)
    size = {"height": 8, "width": 8}
    transformers.ViTImageProcessor(size=size, do_convert_rgb=None).save_pretrained(tmp_path)
    images = torch.rand(4, 3, 8, 8)
    found = layer_or_refusal(str(tmp_path), images)
    if isinstance(found, str):
        assert "body" in found  # among the names to choose from
        return
    fed: list[Tensor] = []
    model.head.register_forward_pre_hook(lambda _, args: fed.append(args[0]))
    with torch.no_grad():
        model(pixel_values=(images - 0.5) / 0.5)
    torch.testing.assert_close(found, fed[0], rtol=0, atol=1e-5)


# C7: what goes wrong inside a forward pass


class Failing(Net):
    """Raises in its forward pass, from a batch of `least` images on."""

    def __init__(self, error: Exception, least: int = 1) -> None:
        super().__init__()
        self.error, self.least = error, least

    def forward(self, images: Tensor) -> Tensor:
        if len(images) >= self.least:
            raise self.error
        return super().forward(images)


class FailingDescent(Net):
    """Raises where a gradient is asked for, but for the first passes, which try it."""

    tried = 0

    def forward(self, images: Tensor) -> Tensor:
        self.tried += images.requires_grad
        if images.requires_grad and self.tried > 20:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return super().forward(images)


def test_out_of_memory_with_a_single_image_is_told_in_a_line() -> None:
    with pytest.raises(RunError, match="--batch-size 1 is too much, too") as told:
        inverted(FailingDescent(), pictures(8), batch_size=8, steps=50)
    assert "\n" not in str(told.value)


MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to ..."),
    RuntimeError("MPS backend out of memory (MPS allocated: 5 GB, max allowed: 9 GB)."),
]
"""As CUDA, the CPU and MPS say it."""


@pytest.mark.parametrize("error", MEMORY, ids=["cuda", "cpu", "mps"])
def test_out_of_memory_is_a_run_that_failed(error: Exception) -> None:
    with pytest.raises(RunError, match=r"batch.size"):
        inverted(Failing(error), pictures(8), batch_size=8)


@pytest.mark.parametrize(
    ("error", "least"),
    [
        pytest.param(MEMORY[0], 9, id="cuda-9"),
        pytest.param(MEMORY[1], 5, id="cpu-5"),
        pytest.param(MEMORY[2], 9, id="mps-9"),
        pytest.param(MEMORY[0], 5, id="cuda-5", marks=pytest.mark.verify),
        pytest.param(MEMORY[1], 9, id="cpu-9", marks=pytest.mark.verify),
        pytest.param(MEMORY[2], 5, id="mps-5", marks=pytest.mark.verify),
    ],
)
def test_half_a_batch_is_taken_where_memory_is_too_small(
    error: Exception,
    least: int,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logging.getLogger("stir_hf"), "propagate", True)  # the command line's
    torch.manual_seed(0)
    whole = inverted(Net(), pictures(20), batch_size=16, draws=2)
    torch.manual_seed(0)
    found = inverted(Failing(error, least), pictures(20), batch_size=16, draws=2)
    assert f"batches of {least - 1} from here" in caplog.text
    assert found.index.tolist() == whole.index.tolist()
    assert found.relative_error == pytest.approx(whole.relative_error, abs=1e-5)


@pytest.mark.parametrize("least", [5, 8])
def test_out_of_memory_while_judging_halves_the_batch(least: int) -> None:
    torch.manual_seed(0)
    network = Net()
    inversions = inverted(network, pictures(8))
    failing = Failing(MEMORY[0], least)
    failing.load_state_dict(network.state_dict())
    whole, found = (judged(one, inversions, batch_size=8) for one in (network, failing))
    assert found.stir == pytest.approx(whole.stir, abs=1e-9)


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(
            AttributeError("no attribute 'x'"),
        ),
        KeyError("x"),
    ],
    ids=["attribute", "key"],
)
def test_a_real_fault_inside_a_network_is_shown_as_it_is(error: Exception) -> None:
    with pytest.raises(type(error)) as raised:
        inverted(Failing(error), pictures(5))
    assert raised.value is error


# C9: precision


def test_float16_is_refused_for_inversion(tiny_models: TinyModels) -> None:
    with pytest.raises(RequestError) as raised:
        inverted(tiny_models.vit, pictures(5, side=32), dtype="float16", device="cpu")
    assert "bfloat16" in str(raised.value)
    assert "float32" in str(raised.value)


def test_a_float16_module_is_refused_for_inversion() -> None:
    with pytest.raises(RequestError, match="bfloat16"):
        inverted(Net().half(), pictures(5))


def test_float16_is_taken_for_judging(tiny_models: TinyModels) -> None:
    inversions = inverted(Net(), pictures(5))
    for model in (tiny_models.vit, tiny_models.resnet):
        half, full = (judged(model, inversions, dtype=d) for d in ("float16", "float32"))
        assert half.stir == pytest.approx(full.stir, abs=0.02)


def test_tf32_is_off_and_recorded() -> None:
    config = compared(Net(), Net(1), pictures(5)).to_dict()["config"]
    assert set(values_of("tf32", config)) == {False}


def test_tf32_can_be_asked_for() -> None:
    config = compared(Net(), Net(1), pictures(5), tf32=True).to_dict()["config"]
    assert set(values_of("tf32", config)) == {True}


# C12: transparency


def transparent(mode: str) -> tuple[Image.Image, tuple[float, float, float]]:
    """An image of one half transparent colour, and what it is over white."""
    colour, alpha = (200, 100, 0), 128
    if mode == "LA":
        colour = (100, 100, 100)
        image = Image.new("LA", (8, 8), (100, alpha))
    elif mode == "P":
        alpha, image = 0, Image.new("P", (8, 8), 1)
        image.putpalette(bytes([0, 0, 0, *colour]))
        image.info["transparency"] = 1
    else:
        image = Image.new("RGBA", (8, 8), (*colour, alpha))
    red, green, blue = ((alpha * c + (255 - alpha) * 255) / 255**2 for c in colour)
    return image, (red, green, blue)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
@pytest.mark.parametrize("grey", [False, True], ids=["RGB", "L"])
def test_transparent_images_are_seen_over_white(mode: str, grey: bool) -> None:
    image, expected = transparent(mode)
    data = dataset_of([image, *pictures(4)["image"]])
    found = inverted(nn.Flatten(), data, image_mode="L" if grey else "RGB").image[0]
    weights = (0.299, 0.587, 0.114)
    seen = [sum(w * e for w, e in zip(weights, expected, strict=True))] if grey else expected
    np.testing.assert_allclose(np.asarray(found).mean((1, 2)), seen, atol=1.5 / 255)


def test_a_checkpoint_sees_transparent_images_over_white(tiny_models: TinyModels) -> None:
    data = dataset_of([Image.new("RGBA", (40, 40), (200, 0, 0, 0)), *pictures(4)["image"]])
    assert np.asarray(inverted(tiny_models.vit, data).image[0]).min() == 1


def test_what_is_opaque_stays_as_it_is() -> None:
    plain = pictures(5)["image"]
    opaque = [image.convert("RGBA") for image in plain]
    found, expected = (inverted(nn.Flatten(), dataset_of(i)).image for i in (opaque, plain))
    assert np.array_equal(np.asarray(found), np.asarray(expected))


# A5: nothing is done twice


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with every file that is decoded."""
    return count_decodes(monkeypatch)


def test_each_image_is_decoded_once_whatever_the_draws(decoded: list[int], tmp_path: Path) -> None:
    data = pictures(20)
    decoded.clear()
    inverted(Net(), data, tmp_path, draws=2)
    assert 20 <= len(decoded) <= 28


def test_each_image_is_processed_once(
    tiny_models: TinyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor = type(transformers.AutoImageProcessor.from_pretrained(tiny_models.vit))
    calls: list[int] = []
    process = processor.preprocess

    def count(self: Any, images: Any, *args: Any, **options: Any) -> Any:
        calls.append(1)
        return process(self, images, *args, **options)

    monkeypatch.setattr(processor, "preprocess", count)
    inverted(tiny_models.vit, pictures(20, side=32), tmp_path, draws=2, steps=1)
    assert 0 < len(calls) <= 36  # what it does to pixels is learnt from a dozen others


class Counted(Net):
    """Counts its passes."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.passes = 0

    def forward(self, images: Tensor) -> Tensor:
        self.passes += 1
        return super().forward(images)


WORK = 1 + 2 + 2
"""Of an inversion by one step: targets, the start and the last iterate, the stored pair."""


@pytest.mark.parametrize("count", [2, 6])
def test_five_passes_per_network_before_work(count: int) -> None:
    """One is watched, two are compared with it, one is of the first images, and one of these with
    high contrast.
    """
    networks = [Counted(seed) for seed in range(count)]
    stir_hf.matrix(networks, pictures(4), **{**QUICK, "steps": 1})
    judging = 3 * (count - 1)
    assert max(network.passes for network in networks) <= 5 + WORK + judging
