"""How users call: contexts, flags, names, combinations."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import evaluate
import numpy as np
import pytest
import torch
from PIL import Image

from stir_hf import RequestError, compare, load_encoder, matrix, score
from stir_hf.metric import Stir
from tests.conftest import TinyModels
from tests.tiny import QUICK, Net, noise_images, pictures


@pytest.mark.verify
def test_the_metric_turns_photographs(tiny_models: TinyModels, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for i, image in enumerate(noise_images(8, 40)):
        image.crop((0, 0, 40, 30)).save(tmp_path / f"{i}.png", exif=exif)
    models = {"model": tiny_models.vit, "reference": tiny_models.resnet}
    opened = [Image.open(tmp_path / f"{i}.png") for i in range(8)]
    expected = Stir().compute(data=str(tmp_path), **models, **QUICK)
    assert Stir().compute(data=opened, **models, **QUICK) == expected
    added = Stir()
    added.add_batch(data=opened)
    assert added.compute(**models, **QUICK) == expected


# folders


# the call


@pytest.mark.verify
def test_a_context_changes_nothing(tiny_models: TinyModels) -> None:
    def found() -> list[Any]:
        result = compare(tiny_models.vit, tiny_models.resnet, noise_images(8, 32), **QUICK)
        return [(s.stir, s.similarity) for s in result.scores]

    expected = found()
    for context in (
        torch.no_grad(),
        torch.inference_mode(),
        torch.autocast("cpu", dtype=torch.bfloat16),
    ):
        with context:
            assert found() == expected


def test_numbers_and_flags_of_numpy(tmp_path: Path) -> None:
    of_numpy: dict[str, Any] = {
        "steps": np.int64(2),
        "batch_size": np.uint8(4),
        "num_samples": np.int32(8),
        "draws": np.int64(1),
        "seed": np.int64(0),
        "exact": np.bool_(True),
        "tf32": np.bool_(False),
    }
    result = compare(
        Net(),
        Net(1),
        pictures(8),
        **of_numpy,
        dtype=torch.float32,
        device=torch.device("cpu"),
        progress=False,
        out=tmp_path,
    )
    assert result.scores[0].num_samples == 8
    json.dumps(result.to_dict())


LONG = "x" * 300
NOTHING: Any = None
WORD: Any = "no"
NUMBER: Any = 5
NAMES: Any = {"a": "b"}
SHORT: Any = "fp16"


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: load_encoder(LONG), "neither a folder here nor a Hub id"),
        (lambda: compare(LONG, Net(), pictures(6)), "neither a folder here nor a Hub id"),
        (lambda: compare(Net(), Net(1), LONG), "neither a folder here nor a Hub id"),
        (lambda: compare(Net(), Net(1), ""), "name is empty"),
        (lambda: compare(Net(), Net(1), Path("no/where")), "no such dataset folder: no/where"),
        (lambda: load_encoder(Path("no/where")), "no such model folder: no/where"),
        (lambda: load_encoder("a\nb"), "'a b'|a\\\\nb"),
        (lambda: compare(Net(), Net(1), pictures(6), layer=NUMBER), "must be the name of a layer"),
        (lambda: compare(Net(), Net(1), pictures(6), dtype=SHORT), "did you mean float16"),
        (lambda: compare(Net(), Net(1), pictures(6), dtype=torch.int8), "dtype 'int8' is unknown"),
        (lambda: compare(Net(), Net(1), pictures(6), out=LONG), "cannot be a folder"),
        (lambda: compare(Net(), Net(1), pictures(6), out=NUMBER), "out must be a folder"),
        (lambda: compare(Net(), Net(1), pictures(6), name=NAMES), "name must be FOLDER=NAME"),
        (lambda: score(Net(), LONG), "no such folder of inversions"),
        (lambda: score(Net(), NOTHING), "inversions are the folder"),
        (lambda: score(Net(), []), "inversions are the folder"),
        (lambda: matrix(NOTHING, pictures(6)), "a matrix takes a list"),
        (lambda: matrix("org/x", pictures(6)), "a matrix takes a list"),
        (lambda: load_encoder(Net(), trust_remote_code=WORD), "must be True or False"),
        (lambda: load_encoder(Net(), channels=2), "channels must be 1 or 3"),
    ],
)
def test_what_cannot_be_meant_is_one_line(call: Callable[[], Any], said: str) -> None:
    with pytest.raises(RequestError, match=said) as told:
        call()
    assert "\n" not in str(told.value)


def test_an_empty_batch_and_what_is_no_tensor(tiny_models: TinyModels) -> None:
    encoder = load_encoder(tiny_models.vit)
    assert encoder(torch.zeros(0, 3, 32, 32)).shape == (0, 16)
    wrong: Any = np.zeros((2, 3, 32, 32))
    with pytest.raises(RequestError, match="takes a float tensor"):
        encoder(wrong)


@pytest.mark.verify
def test_the_metric_in_a_combination(tiny_models: TinyModels) -> None:
    options = {"model": tiny_models.vit, "reference": tiny_models.resnet, **QUICK}
    alone = Stir().compute(data=noise_images(8, 32), **options)
    assert evaluate.combine([Stir()]).compute(data=noise_images(8, 32), **options) == alone
    added = evaluate.combine({"a": Stir()}, force_prefix=True)
    added.add_batch(data=noise_images(8, 32))
    assert added.compute(**options)["a_stir"] == alone["stir"]


# code of a checkpoint's own


def test_what_changes_numbers_is_recorded(tiny_models: TinyModels) -> None:
    result = compare(tiny_models.vit, Net32(), noise_images(6, 32), **QUICK)
    assert {"torchvision", "timm", "peft"} <= set(result.environment)
    processors = [model["processor_class"] for model in result.config["models"]]
    assert processors[0].startswith("ViTImageProcessor")
    assert processors[1] is None


class Net32(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(3 * 32 * 32, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.linear(images.flatten(1))
        return found
