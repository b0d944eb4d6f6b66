"""The evaluate module, loaded as users load it, gives what `compare` gives."""

import doctest
import os
import re
import runpy
import subprocess
from pathlib import Path
from typing import Any

import datasets
import evaluate
import numpy as np
import pytest
from huggingface_hub import metadata_load

import stir_hf
from stir_hf import RequestError
from stir_hf.demo import IMAGES, model_path
from tests import warm
from tests.conftest import ROOT

MODELS = {"model": model_path("standard-0"), "reference": model_path("robust-0")}
QUICK: dict[str, Any] = {"steps": 5, "progress": False}
ANCHORS = ("stir", "similarity", "floor", "ceiling")


@pytest.fixture(scope="module")
def images() -> datasets.Dataset:
    split: datasets.Dataset = datasets.load_dataset(str(IMAGES), split="test").select(range(8))
    return split


@pytest.fixture(scope="module")
def compared(images: datasets.Dataset) -> tuple[stir_hf.Score, ...]:
    return stir_hf.compare(MODELS["model"], MODELS["reference"], images, **QUICK).scores


@pytest.fixture
def stir() -> Any:
    return evaluate.load(str(ROOT / "metric_card" / "stir"))


def test_the_dictionary_is_what_compare_gives(
    stir: Any, images: datasets.Dataset, compared: tuple[stir_hf.Score, ...]
) -> None:
    result = stir.compute(data=images, **MODELS, **QUICK)
    for suffix, score in zip(("", "_reverse"), compared, strict=True):
        for name in ANCHORS:
            assert result[name + suffix] == getattr(score, name)
            assert result[f"{name}_debiased{suffix}"] == getattr(score.debiased, name)
        assert result[f"relative_error{suffix}"] == score.relative_error.median
        assert score.spread_error is not None
        assert result[f"spread_error{suffix}"] == score.spread_error.median
        assert result[f"converged{suffix}"] == score.converged
    assert result["num_samples"] == 8
    assert len(result) == 23


@pytest.mark.verify
def test_images_in_every_form_give_the_same(
    stir: Any, images: datasets.Dataset, compared: tuple[stir_hf.Score, ...], tmp_path: Path
) -> None:
    column = images["image"]
    for image in column:
        stir.add(data=image)
    results = [stir.compute(**MODELS, **QUICK)]
    stir.add_batch(data=column[:5])
    stir.add_batch(data=column[5:])
    results.append(stir.compute(**MODELS, **QUICK))
    arrays = [np.asarray(image) for image in column]
    for data in (column, list(column), arrays, np.stack(arrays), images.to_iterable_dataset()):
        results.append(stir.compute(data=data, **MODELS, **QUICK))
    assert all(result == results[0] for result in results[:-1])
    assert results[-1] == pytest.approx(results[0], abs=1e-5)  # a stream comes in another order
    assert results[0]["stir"] == compared[0].stir


@pytest.mark.verify
def test_jpegs_are_not_compressed_again(stir: Any, tmp_path: Path) -> None:
    from PIL import Image

    rng = np.random.default_rng(0)
    for i in range(5):
        Image.fromarray(rng.integers(0, 256, (28, 28), dtype=np.uint8)).save(
            tmp_path / f"{i}.jpg", quality=30
        )
    data = datasets.load_dataset(str(tmp_path), split="train")
    whole = stir.compute(data=data, **MODELS, **QUICK)
    assert stir.compute(data=data["image"], **MODELS, **QUICK) == whole
    assert stir.compute(data=str(tmp_path), split="train", **MODELS, **QUICK) == whole


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"model": "a", "data": []}, "reference is missing"),
        ({"reference": "a", "data": []}, "model is missing"),
        (MODELS, "data is missing"),
        ({**MODELS, "predictions": [1]}, "predictions is no input"),
        ({"predictions": [1], "references": [0]}, "instead of evaluate.evaluator or EvaluationSu"),
        ({**MODELS, "data": 3}, "data must be a Hub id, a folder, a dataset or a list of PIL"),
        ({**MODELS, "data": [np.zeros((3, 3))]}, r"item 0 is a float64 array of shape \(3, 3\)"),
        ({**MODELS, "data": [np.zeros((4, 4), np.uint8), "a.png"]}, "item 1 is a str"),
        ({**MODELS, "data": str(IMAGES), "num_smples": 3}, "did you mean num_samples"),
    ],
)
def test_what_is_missing_or_wrong_is_told(stir: Any, given: dict[str, Any], told: str) -> None:
    with pytest.raises(RequestError, match=told):
        stir.compute(**given)


def test_images_are_given_by_position_too(
    stir: Any, images: datasets.Dataset, compared: tuple[stir_hf.Score, ...]
) -> None:
    column = images["image"]
    results = [stir.compute(images, **MODELS, **QUICK)]
    stir.add(column[0])
    stir.add_batch(column[1:])
    results.append(stir.compute(**MODELS, **QUICK))
    assert [result["stir"] for result in results] == [compared[0].stir] * 2


def test_an_evaluator_is_answered_with_what_to_use(stir: Any, images: datasets.Dataset) -> None:
    """Its last step; its pipelines do not load with the transformers of today."""
    from evaluate.evaluator import ImageClassificationEvaluator

    evaluator = ImageClassificationEvaluator(default_metric_name="accuracy")
    inputs = {"predictions": [1, 2], "references": [1, 2]}
    for strategy in ("simple", "bootstrap"):
        with pytest.raises(RequestError, match=r"call compute\(data=…, model=…, reference=…\)"):
            evaluator.compute_metric(stir, inputs, strategy)
    with pytest.raises(RequestError, match="predictions is no input"):
        stir.add_batch(images["image"], predictions=[1, 2])


def test_the_module_says_whose_it_is(stir: Any) -> None:
    assert stir.info.license == "Apache-2.0"
    assert stir.info.homepage == "https://arxiv.org/abs/2206.11939"


LOAD = """
import sys, evaluate
from pathlib import Path
stir = evaluate.load(sys.argv[1])
models = {"model": sys.argv[3], "reference": sys.argv[4]}
options = {"num_samples": 4, "steps": 1, "progress": False}
assert stir.compute(data=sys.argv[2], **models, **options)["num_samples"] == 4
print(stir.name, type(stir).__module__)
"""


@pytest.mark.parametrize("steps", ["some", pytest.param("all", marks=pytest.mark.verify)])
def test_bare_name_after_install_metric_and_not_before(steps: str, tmp_path: Path) -> None:
    """In a folder and a cache of its own, offline, each step in a process of its own."""
    env = {
        **os.environ,
        "HF_HOME": str(tmp_path / "home"),
        "HF_EVALUATE_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }
    load = ["-c", LOAD, "stir", str(IMAGES), *MODELS.values()]
    install = ["-m", "stir_hf", "install-metric"]

    def run(words: list[str]) -> "subprocess.CompletedProcess[str]":
        return warm.run(words, env, cwd=tmp_path)

    assert steps == "some" or "FileNotFoundError" in run(load).stderr
    for _ in range(1 if steps == "some" else 2):
        installed = run(install)
        assert installed.returncode == 0, installed.stderr
        assert "evaluate-metric--stir" in installed.stdout
        assert "install-metric --undo" in installed.stdout
    loaded = run(load)
    assert loaded.stdout.split() == ["stir", "stir_hf.metric"], loaded.stderr
    if steps == "some":
        return
    assert run([*install, "--undo"]).returncode == 0
    assert "FileNotFoundError" in run(load).stderr
    assert run([*install, "--undo"]).returncode == 2


def test_a_dataset_after_images_is_refused(stir: Any, images: datasets.Dataset) -> None:
    stir.add(data=images[0]["image"])
    with pytest.raises(RequestError, match="images were added before"):
        stir.compute(data=images, **MODELS)
    stir.add_batch(data=images["image"][1:])
    assert stir.compute(**MODELS, **QUICK)["num_samples"] == 8


CARD = ROOT / "metric_card" / "stir"
BLOCKS = re.findall(r"```python\n(.*?)```", (CARD / "README.md").read_text("utf-8"), re.DOTALL)


@pytest.mark.verify
@pytest.mark.parametrize("block", BLOCKS)
def test_the_examples_of_the_card_run(block: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CARD.parent)  # where the bare name is this folder
    exec(block, {})


@pytest.mark.verify
def test_the_example_of_its_description_runs(stir: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CARD.parent)
    example = doctest.DocTestParser().get_doctest(stir.inputs_description, {}, "stir", None, None)
    assert len(example.examples) == 5
    found = doctest.DocTestRunner(optionflags=doctest.FAIL_FAST).run(example)
    assert (found.failed, found.attempted) == (0, 5)


@pytest.mark.verify
def test_the_cases_of_the_card(stir: Any) -> None:
    for case in runpy.run_path(str(CARD / "tests.py"))["test_cases"]:
        expected = case.pop("result")
        found = stir.compute(**case, progress=False)
        off = np.array([found[name] - value for name, value in expected.items()])
        assert np.sqrt((off**2).mean()) < 0.02
        assert np.abs(off).max() < 0.04  # another processor: benchmarks/noise.py


def test_the_card_has_every_section_and_the_tags_of_a_metric() -> None:
    text = (CARD / "README.md").read_text("utf-8").split("---\n", 2)[2]
    about = metadata_load(CARD / "README.md")
    assert about is not None
    assert about["tags"] == ["evaluate", "metric"]
    assert (about["sdk"], about["app_file"]) == ("gradio", "app.py")
    sections = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    assert sections == [
        "Metric card for STIR",
        "Metric description",
        "How to use",
        "Inputs",
        "Output values",
        "Values from popular papers",
        "Examples",
        "Limitations and bias",
        "Citation",
        "Further references",
    ]
