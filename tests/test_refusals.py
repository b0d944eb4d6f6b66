"""Each refusal is one line with exit code 2, told before any work: models, layers and data, from
folders and from the Hub, through the command line.
"""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import pytest
from PIL import Image

from stir_hf.demo import IMAGES, model_path
from tests import warm
from tests.stand_in_hub import serve
from tests.tiny import noise_images

ASKER = """
import io, json, sys
from contextlib import redirect_stderr, redirect_stdout
from stir_hf.cli import main
answers = []
for arguments in json.loads(sys.argv[1]):
    out, err, code = io.StringIO(), io.StringIO(), 0
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main(arguments)
        except SystemExit as end:
            code = end.code or 0
    answers.append([code, out.getvalue(), err.getvalue()])
print("ANSWER" + json.dumps(answers))
"""

QUIET = {
    "HF_HUB_DISABLE_XET": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
}
ROBUST = model_path("robust-0")
Make = Callable[[Path], list[str]]


def changed(change: Callable[[Path], object], *more: str) -> Make:
    """Layers of a copy of a network that was changed."""

    def make(folder: Path) -> list[str]:
        shutil.copytree(ROBUST, folder / "model")
        change(folder / "model")
        return ["layers", str(folder / "model"), *more]

    return make


def configured(**values: Any) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, **values}))

    return change


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def truncated(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


def coded(folder: Path) -> None:
    configured(model_type="own", auto_map={"AutoConfig": "of_config.Own"})(folder)
    (folder / "of_config.py").write_text("raise SystemExit(7)\n")


def inverting(*words: str) -> list[str]:
    return ["invert", *words, "--out", "made"]


def of_rows(**columns: Any) -> Make:
    """An inversion of a dataset with these columns."""

    def make(folder: Path) -> list[str]:
        images = noise_images(4)
        features = {name: made[0] for name, made in columns.items()}
        rows = {name: [made[1](image) for image in images] for name, made in columns.items()}
        kinds = datasets.Features(**features)
        datasets.Dataset.from_dict(rows, features=kinds).to_parquet(folder / "test.parquet")
        return inverting(ROBUST, "--dataset", str(folder))

    return make


def broken(folder: Path) -> list[str]:
    for i, image in enumerate(noise_images(4)):
        image.save(folder / f"{i}.png")
    (folder / "2.png").write_bytes(b"no image")
    return inverting(ROBUST, "--dataset", str(folder))


PICTURE = datasets.Image()


def itself(image: Image.Image) -> Image.Image:
    return image


IMAGES_IN = ["--dataset", str(IMAGES)]
LOCAL: dict[str, tuple[Make, list[str]]] = {
    "pickled weights": (
        changed(pickled),
        ["pickled weights only (pytorch_model.bin)", "save_pretrained", "spaces/safetensors/conv"],
    ),
    "truncated weights": (changed(truncated), ["broken or truncated"]),
    "code of its own": (changed(coded), ["needs Python code from its repo", "--trust-remote-code"]),
    "no configuration": (
        changed(lambda folder: (folder / "config.json").unlink()),
        ["no config.json", "save_pretrained"],
    ),
    "no processor": (
        changed(lambda folder: (folder / "preprocessor_config.json").unlink()),
        ["has no image processor that loads here"],
    ),
    "five channels": (
        changed(configured(num_channels=5)),
        ["20x1x7x7 in the weights and 20x5x7x7"],
    ),
    "timm without timm": (
        changed(configured(pretrained_cfg={}, architecture="resnet10t", model_type=None)),
        ["timm"],
    ),
    "shapes that disagree": (
        changed(configured(num_labels=3, id2label={"0": "a", "1": "b", "2": "c"})),
        ["in the weights and", "by config.json", "num_labels"],
    ),
    "no such folder": (lambda _: ["layers", "./robust-9"], ["no such model folder: robust-9"]),
    "a revision of a folder": (
        lambda _: ["layers", f"{ROBUST}@main"],
        ["robust-0@main"],
    ),
    "a layer": (
        lambda _: inverting(ROBUST, *IMAGES_IN, "--layer", "resnet.encoder.stages.2.layer.1"),
        ["no layer 'resnet.encoder.stages.2.layer.1'; did you mean resnet.encoder.stages.2"],
    ),
    "a pooling": (
        lambda _: inverting(ROBUST, *IMAGES_IN, "--layer", "logits:median"),
        ["pooling 'median'", "mean, max, cls, flatten"],
    ),
    "cls without tokens": (
        lambda _: inverting(ROBUST, *IMAGES_IN, "--layer", "hidden_states[1]:cls"),
        ["pooling 'cls' needs tokens"],
    ),
    "a device": (
        lambda _: inverting(ROBUST, *IMAGES_IN, "--device", "cuda:9"),
        ["device 'cuda:9' does not exist; this machine has cpu"],
    ),
    "a precision": (
        lambda _: inverting(ROBUST, *IMAGES_IN, "--dtype", "float12"),
        ["dtype 'float12' is unknown"],
    ),
    "float16": (
        lambda _: inverting(ROBUST, *IMAGES_IN, "--dtype", "float16"),
        ["is in float16, in which the gradients of an inversion vanish"],
    ),
    "colour where grey is taken": (
        lambda _: inverting(ROBUST, *IMAGES_IN, "--image-mode", "RGB"),
        ["takes L images, not 'RGB'"],
    ),
    "no images": (
        of_rows(label=(datasets.Value("int64"), lambda _: 1)),
        ["has no column of images", "cast_column"],
    ),
    "several columns of images": (
        of_rows(left=(PICTURE, itself), right=(PICTURE, itself)),
        ["several image columns: left, right; choose one with --image-column"],
    ),
    "images inside others": (
        of_rows(views=(datasets.List(PICTURE), lambda image: [image])),
        ["images inside others: views[0]; choose one with --image-column"],
    ),
    "a corrupt image": (broken, ["image 2 of ", "cannot be read"]),
    "an empty folder": (
        lambda folder: inverting(ROBUST, "--dataset", str(folder)),
        ["is empty; expected images, parquet or arrow files"],
    ),
    "a split": (
        lambda _: inverting(ROBUST, *IMAGES_IN, "--split", "tset"),
        ["no split 'tset'; did you mean test"],
    ),
    "a slice": (
        lambda _: inverting(ROBUST, *IMAGES_IN, "--split", "test[a:b]"),
        ["is not a slice of 200 rows"],
    ),
    "more images than there are": (
        lambda _: inverting(ROBUST, *IMAGES_IN, "--num-samples", "900"),
        ["900 samples requested, but ", "has 200"],
    ),
    "a slice of a stream": (
        lambda _: inverting(ROBUST, *IMAGES_IN, "--streaming", "--split", "test[:9]"),
        ["a stream has no slices"],
    ),
}
HUB: dict[str, tuple[list[str], list[str]]] = {
    "pickled weights": (["layers", "lab/pickled"], ["pickled weights only", "spaces/safetensors"]),
    "code of its own": (
        ["layers", "lab/coded"],
        ["needs Python code from its repo", "--trust-remote-code"],
    ),
    "a gated model": (
        ["layers", "lab/gated"],
        ["is gated: ask for access on its page", "hf auth login", "the Hub says: Access to lab/g"],
    ),
    "a private model": (["layers", "lab/private"], ["no model 'lab/private'", "hf auth login"]),
    "no such model": (["layers", "lab/nothing"], ["no model 'lab/nothing' on the Hub"]),
    "no such revision": (["layers", "lab/robust@mian"], ["no revision 'mian'; did you mean main"]),
    "a gated dataset": (
        inverting("lab/robust", "--dataset", "lab/gated"),
        ["dataset lab/gated is gated: ask for access", "the Hub says: Access to lab/gated"],
    ),
    "a private dataset": (
        inverting("lab/robust", "--dataset", "lab/private"),
        ["no dataset 'lab/private' on the Hub", "hf auth login"],
    ),
    "a column of a stream": (
        inverting("lab/robust", "--dataset", "lab/images", "--streaming", "--image-column", "imga"),
        ["no column 'imga'; did you mean image"],
    ),
}


@dataclass(frozen=True)
class Told:
    code: int
    out: str
    err: str


def ask(commands: list[list[str]], folder: Path, **env: str) -> list[Told]:
    """Commands of one process, in a folder that must stay as it is."""
    words = ["-c", ASKER, json.dumps(commands)]
    done = warm.run(words, {**os.environ, **QUIET, **env}, cwd=folder)
    assert "ANSWER" in done.stdout, done.stderr[-3000:]
    assert list(folder.iterdir()) == []
    return [Told(*one) for one in json.loads(done.stdout.rpartition("ANSWER")[2])]


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    made = [make(tmp_path_factory.mktemp("case")) for make, _ in LOCAL.values()]
    answers = ask(made, tmp_path_factory.mktemp("work"), HF_HUB_OFFLINE="1")
    return dict(zip(LOCAL, answers, strict=True))


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    spoilt = {}
    for name, change in {"pickled": pickled, "coded": coded}.items():
        spoilt[name] = tmp_path_factory.mktemp(name) / "model"
        shutil.copytree(ROBUST, spoilt[name])
        change(spoilt[name])
    with serve() as hub:
        hub.add("model", "lab/robust", Path(ROBUST))
        hub.add("model", "lab/gated", Path(ROBUST), gated=True)
        hub.add("model", "lab/private", Path(ROBUST), private=True)
        for name, folder in spoilt.items():
            hub.add("model", f"lab/{name}", folder)
        hub.add("dataset", "lab/images", IMAGES)
        hub.add("dataset", "lab/gated", IMAGES, gated=True)
        hub.add("dataset", "lab/private", IMAGES, private=True)
        home = tmp_path_factory.mktemp("home")
        commands, work = [command for command, _ in HUB.values()], tmp_path_factory.mktemp("work")
        answers = ask(commands, work, HF_ENDPOINT=hub.url, HF_HOME=str(home))
    return dict(zip(HUB, answers, strict=True))


def check(told: Told, words: list[str]) -> None:
    assert (told.code, told.out) == (2, ""), told
    assert len(told.err.splitlines()) == 1, told.err
    line = told.err.strip()
    assert line.startswith("stir-hf: ")
    assert all(word in line for word in words), line


@pytest.mark.parametrize("case", LOCAL)
def test_what_is_refused(case: str, local: dict[str, Told]) -> None:
    check(local[case], LOCAL[case][1])


@pytest.mark.parametrize("case", HUB)
def test_what_is_refused_of_the_hub(case: str, remote: dict[str, Told]) -> None:
    check(remote[case], HUB[case][1])
