"""Requests that cannot be met are told in one line before any work; so are runs that fail."""

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import stir_hf
from stir_hf import RequestError, RunError
from tests.conftest import TinyModels

MakeFolder = Callable[[Path], None]


@pytest.fixture
def model(demo: Path, tmp_path: Path) -> Path:
    """A copy of a demo model, to be spoilt."""
    return Path(shutil.copytree(demo / "models" / "robust-0", tmp_path / "models" / "robust"))


@pytest.fixture
def images(demo: Path) -> str:
    return str(demo / "images")


def told(call: Callable[[], Any], *words: str, kind: type[Exception] = RequestError) -> None:
    with pytest.raises(kind) as raised:
        call()
    text = str(raised.value)
    assert "\n" not in text
    assert all(word in text for word in words), text


def invert(model: Any, data: Any, **options: Any) -> stir_hf.Inversions:
    defaults: dict[str, Any] = {"num_samples": 4, "steps": 1, "device": "cpu", "progress": False}
    return stir_hf.invert(model, data, **(defaults | options))


def truncate(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


def pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def forget_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def forget_processor(folder: Path) -> None:
    (folder / "preprocessor_config.json").unlink()


def empty(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def unknown_type(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "no-such-type"}))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (truncate, ["model.safetensors", "broken or truncated"]),
        (pickle, ["pickled weights only (pytorch_model.bin)", "safetensors"]),
        (forget_weights, ["has no weights", "expected model.safetensors"]),
        (forget_processor, ["has no image processor", "takes no images"]),
        (empty, ["has no config.json", "save_pretrained"]),
        (unknown_type, ["cannot be loaded", "no-such-type"]),
    ],
)
def test_a_spoilt_model_folder(model: Path, spoil: MakeFolder, words: list[str]) -> None:
    spoil(model)
    told(lambda: stir_hf.load_encoder(str(model), device="cpu"), str(model), *words)


def test_no_such_model_folder(model: Path) -> None:
    wrong = str(model.parent / "rubost")
    told(lambda: stir_hf.load_encoder(wrong), "no such model folder", wrong, "did you mean robust?")


def test_a_text_model(tiny_models: TinyModels) -> None:
    told(lambda: stir_hf.load_encoder(tiny_models.text, device="cpu"), tiny_models.text, "images")


def test_a_revision_of_a_folder(model: Path) -> None:
    told(
        lambda: stir_hf.load_encoder(str(model), revision="main"), "is a folder", "revision 'main'"
    )
    told(lambda: stir_hf.load_encoder("a/b@one", revision="two"), "two revisions", "'two'")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"layer": "resnet.poler"}, ["no layer 'resnet.poler'", "did you mean", "resnet.pooler"]),
        ({"layer": "hidden_states[9]"}, ["no layer 'hidden_states[9]'", "hidden_states[0]"]),
        ({"split": "tset"}, ["no split 'tset'", "did you mean test?"]),
        ({"image_column": "imag"}, ["no column 'imag'", "did you mean image?"]),
        ({"image_column": "label"}, ["column 'label'", "holds no images", "image"]),
        ({"config_name": "nothing"}, ["nothing", "default"]),
        ({"num_samples": 10**6}, ["1000000 images asked for", "has "]),
        ({"num_samples": 0}, ["num_samples", "at least 1", "not 0"]),
        ({"num_samples": 2}, ["num_samples=2", "at least 4"]),
        ({"num_samples": 4.0}, ["num_samples", "not 4.0"]),
        ({"steps": 0}, ["steps", "at least 1", "not 0"]),
        ({"steps": -1}, ["steps", "not -1"]),
        ({"steps": True}, ["steps", "not True"]),
        ({"tolerance": 0}, ["tolerance", "positive", "not 0"]),
        ({"tolerance": float("nan")}, ["tolerance", "not nan"]),
        ({"tolerance": float("inf")}, ["tolerance", "not inf"]),
        ({"tolerance": -1}, ["tolerance", "not -1"]),
        ({"tolerance": True}, ["tolerance", "not True"]),
        ({"tolerance": "0.1"}, ["tolerance", "not '0.1'"]),
        ({"batch_size": 0}, ["batch_size", "at least 1", "not 0"]),
        ({"draws": 0}, ["draws", "at least 1", "not 0"]),
        ({"draws": 2, "start": "white"}, ["draws=2", "'white'", "draws=1"]),
        ({"seed": -1}, ["seed", "at least 0", "not -1"]),
        ({"method": "papr"}, ["method 'papr'", "did you mean paper?"]),
        ({"start": "noisy"}, ["start 'noisy'", "did you mean noise"]),
        ({"start": "given"}, ["start='given'", "starts"]),
        ({"dtype": "float23"}, ["dtype 'float23'", "float32"]),
        ({"image_mode": "rgb"}, ["image_mode 'rgb'", "RGB"]),
        ({"image_mode": "RGB"}, ["takes L images", "'RGB'"]),
        ({"step": 5}, ["unknown option 'step'", "did you mean steps"]),
        ({"device": "cuda:7"}, ["'cuda:7' does not exist", "cpu"]),
        ({"device": "gpu"}, ["'gpu' does not exist", "cpu"]),
        ({"device": "meta"}, ["'meta' holds no values", "cpu"]),
    ],
    ids=lambda x: ",".join(f"{k}={v}" for k, v in x.items()) if isinstance(x, dict) else "",
)
def test_wrong_options(
    demo: Path, images: str, tmp_path: Path, options: dict[str, Any], words: list[str]
) -> None:
    reference = str(demo / "models" / "robust-0")
    told(lambda: invert(reference, images, out=tmp_path / "out", **options), *words)
    assert not (tmp_path / "out").exists()


def test_wrong_measure_and_options_of_score(demo: Path, images: str) -> None:
    reference = str(demo / "models" / "robust-0")
    inversions = invert(reference, images)

    def score(models: Any = reference, **options: Any) -> stir_hf.StirResult:
        return stir_hf.score(models, inversions, progress=False, **options)

    told(lambda: score(measure="linear_kca"), "measure 'linear_kca'", "linear_cka")
    told(lambda: score(steps=3), "unknown option 'steps'")
    told(lambda: score(batch_size=0), "batch_size", "not 0")
    told(lambda: score(models=[]), "no model")
    told(lambda: stir_hf.matrix([reference], images), "at least two models", "not 1")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: folder.mkdir(), ["is empty", "parquet"]),
        (lambda folder: folder.write_bytes(b""), ["is a file", "expected a Hub id or a folder"]),
        (
            lambda folder: (folder.parent / "dataset").mkdir(),
            ["no such dataset folder", "did you mean dataset?"],
        ),
    ],
    ids=["empty", "file", "missing"],
)
def test_no_dataset(demo: Path, tmp_path: Path, make: MakeFolder, words: list[str]) -> None:
    folder = tmp_path / "datasets"
    make(folder)
    told(lambda: invert(str(demo / "models" / "robust-0"), str(folder)), str(folder), *words)


@pytest.mark.usefixtures("unclosed_files")
def test_a_corrupt_image(demo: Path, image_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(image_folder / "test", tmp_path / "data" / "test")
    broken = sorted((tmp_path / "data" / "test" / "a").iterdir())[1]
    broken.write_bytes(b"no image")
    options: dict[str, Any] = {"num_samples": None, "out": tmp_path / "out"}
    told(
        lambda: invert(str(demo / "models" / "robust-0"), str(tmp_path / "data"), **options),
        "image 1 of ",
    )
    assert not (tmp_path / "out").exists()


def test_a_folder_of_another_run_is_left_alone(demo: Path, images: str, tmp_path: Path) -> None:
    reference, other = (str(demo / "models" / name) for name in ("robust-0", "robust-1"))
    invert(reference, images, out=tmp_path)

    def content() -> dict[str, bytes]:
        return {str(p): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}

    before = content()
    changes: list[dict[str, Any]] = [{"seed": 1}, {"steps": 2}, {"layer": "logits"}]
    for change in changes:
        told(
            partial(invert, reference, images, out=tmp_path, **change),
            "another run",
            "choose another --out",
        )
    told(lambda: invert(other, images, out=tmp_path), "another run", "choose another --out")
    assert content() == before


def test_models_of_different_modes(
    demo: Path, images: str, tiny_models: TinyModels, tmp_path: Path
) -> None:
    grey, colour = str(demo / "models" / "robust-0"), tiny_models.resnet
    told(
        lambda: stir_hf.compare(grey, colour, images, num_samples=4),
        "different modes",
        "takes L",
        "takes RGB",
    )
    inversions = invert(grey, images)
    told(lambda: stir_hf.score(colour, inversions, progress=False), "takes RGB images", "'L'")


def test_a_layer_that_cannot_be_pooled(tiny_models: TinyModels) -> None:
    told(
        lambda: stir_hf.load_encoder(tiny_models.resnet, "resnet.encoder:cls"),
        "resnet.encoder:cls",
        "'cls' needs tokens",
    )
    told(
        lambda: stir_hf.load_encoder(tiny_models.resnet, "resnet:median"),
        "pooling 'median'",
        "mean, max, cls, flatten",
    )


class Fussy(nn.Module):
    """Takes images of one size only."""

    def forward(self, images: Tensor) -> Tensor:
        if images.shape[2:] != (5, 5):
            raise ValueError("expected 5x5")
        return images.flatten(1)


def noise(count: int, side: int = 6) -> datasets.Dataset:
    torch.manual_seed(0)
    pictures = [Image.effect_noise((side, side), 60).convert("RGB") for _ in range(count)]
    return datasets.Dataset.from_dict(
        {"image": pictures}, features=datasets.Features(image=datasets.Image())
    )


def test_a_judged_model_is_tried_before_any_inversion(tmp_path: Path) -> None:
    told(
        lambda: stir_hf.compare(
            Fussy(), nn.Flatten(), noise(5), out=tmp_path / "out", progress=False
        ),
        "Fussy",
        "5x5",
    )
    assert not (tmp_path / "out").exists()
    inversions = invert(nn.Flatten(), noise(5))
    told(
        lambda: stir_hf.score(Fussy(), inversions, progress=False),
        "Fussy does not run on images of shape 3x6x6",
        "5x5",
    )


def test_unfinished_inversions_are_not_judged(demo: Path, images: str, tmp_path: Path) -> None:
    reference = str(demo / "models" / "robust-0")
    made = invert(reference, images, out=tmp_path, num_samples=8, batch_size=4)
    (shard,) = made.path.glob("*.parquet")
    whole = pq.read_table(shard)
    pq.write_table(whole.slice(0, 5), shard)
    said = ["holds 5 of 8 inversions", "continues"]
    told(lambda: stir_hf.score(reference, tmp_path, progress=False), *said)
    pq.write_table(whole.slice(3, 5), shard.with_name("part-again.parquet"))
    scores = stir_hf.score(reference, tmp_path, progress=False).scores
    assert [score.num_samples for score in scores] == [8]
    shard.unlink()
    told(lambda: stir_hf.score(reference, tmp_path, progress=False), *said)
    assert len(invert(reference, images, out=tmp_path, num_samples=8, batch_size=4)) == 8


def test_an_output_that_cannot_be_a_folder(demo: Path, images: str, tmp_path: Path) -> None:
    reference = str(demo / "models" / "robust-0")
    (tmp_path / "file").write_text("mine")
    told(
        lambda: invert(reference, images, out=tmp_path / "file" / "run"),
        "cannot be a folder",
        "file is a file",
    )
    told(
        lambda: stir_hf.compare(reference, reference, images, out=tmp_path / "file"),
        "cannot be a folder",
    )
    assert (tmp_path / "file").read_text() == "mine"


def test_a_revision_of_nobody_in_particular(demo: Path, images: str) -> None:
    models = [str(demo / "models" / name) for name in ("robust-0", "robust-1")]
    unknown: dict[str, Any] = {"revision": "main"}
    told(lambda: stir_hf.compare(models[0], models[1], images, **unknown), "write id@revision")
    told(
        lambda: invert(models[0], images, revision="main"), "is a folder and has no revision 'main'"
    )


def test_weights_that_break_while_they_are_read(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors import SafetensorError
    from transformers import AutoModelForImageClassification

    def broken(*_: Any, **__: Any) -> None:
        raise SafetensorError("incomplete metadata")

    monkeypatch.setattr(AutoModelForImageClassification, "from_pretrained", broken)
    told(
        lambda: stir_hf.load_encoder(str(model)),
        "weights of model",
        "broken or truncated",
        "incomplete metadata",
    )


class Broken(nn.Module):
    """Represents each image as one value."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) * 0 + self.value


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (float("nan"), ["not finite"]),
        (float("inf"), ["not finite"]),
        (1.0, ["constant"]),
        (0.0, ["all zeros"]),
    ],
)
def test_representations_without_meaning(value: float, words: list[str]) -> None:
    data = noise(5)
    told(lambda: invert(Broken(value), data), "Broken", "layer output", *words, kind=RunError)
    inversions = invert(nn.Flatten(), data)
    told(
        lambda: stir_hf.score(Broken(value), inversions, progress=False),
        "Broken",
        "layer output",
        kind=RunError,
    )


def test_images_that_repeat_are_no_constant_representation() -> None:
    one = noise(1)
    twice = datasets.concatenate_datasets([one, one, noise(4), one])
    for batch_size in (1, 2, 6):
        inversions = invert(nn.Flatten(), twice, num_samples=None, draws=2, batch_size=batch_size)
        assert len(inversions) == 14
