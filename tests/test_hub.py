"""Models and data by Hub id, against a stand-in Hub. HF_ENDPOINT is read at import, so each client
is a process.
"""

import io
import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq
import pytest

from tests import warm
from tests.stand_in_hub import StandInHub, serve
from tests.tiny import noise_images

CLIENT = """
import json, sys
import torch
torch.set_num_threads(1)
from stir_hf import load_encoder
from stir_hf.data.sources.spec import DataSpec
from stir_hf.errors import RequestError
from stir_hf.data.sources.samples import open_samples

def answer(model=None, dataset=None, revision=None):
    try:
        if model:
            encoder = load_encoder(model, revision=revision, device="cpu")
            width = encoder(torch.zeros(1, *encoder.kind((28, 28)).shape)).shape[1]
            weights = encoder.identity()["weights"]
            return {**encoder.recorded(), "weights": weights, "width": width}
        samples = open_samples(dataset, DataSpec(dataset, num_samples=5, revision=revision))
        found = {"fingerprint": samples.fingerprint, "indices": samples.order.tolist()}
        return {**found, "revision": samples.commit}
    except RequestError as error:
        return {"error": str(error)}

print("ANSWER" + json.dumps([answer(**question) for question in json.loads(sys.argv[1])]))
"""

Question = dict[str, str]
Answers = dict[str, dict[str, Any]]

THERE: dict[str, Question] = {
    "main": {"model": "lab/robust"},
    "second": {"model": "lab/robust@second"},
    "second, apart": {"model": "lab/robust", "revision": "second"},
    "images": {"dataset": "lab/images"},
    "files": {"dataset": "lab/files"},
    "zipped": {"dataset": "lab/zipped"},
}
NOT_THERE: dict[str, Question] = {
    "model": {"model": "lab/nothing"},
    "revision": {"model": "lab/robust@secund"},
    "pickled": {"model": "lab/pickled"},
    "dataset": {"dataset": "lab/nothing"},
    "dataset revision": {"dataset": "lab/images", "revision": "mian"},
}
ELSEWHERE = {
    "absolute": str(Path(__file__).resolve()),
    "relative": "x.png",
    "private": "hf://datasets/lab/closed/0.png",
    "address": "http://127.0.0.1:9/x.png",
    "chain": "zip://0.png::/tmp/x.zip",
}
"""Files that are not in the repo of a dataset, which images of it name."""
THEFTS: dict[str, Question] = {name: {"dataset": f"lab/{name}"} for name in ELSEWHERE}


def ask(
    questions: dict[str, Question], endpoint: str, home: Path, offline: bool = False
) -> Answers:
    """What one process answers."""
    env = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"}
    env |= {"STIR_HF_HUB_TIMEOUT": "1"} | ({"HF_HUB_OFFLINE": "1"} if offline else {})
    done = warm.run(["-c", CLIENT, json.dumps(list(questions.values()))], env, 120)
    assert "ANSWER" in done.stdout, done.stderr[-3000:]
    return dict(zip(questions, json.loads(done.stdout.rpartition("ANSWER")[2]), strict=True))


FEATURES = datasets.Features(image=datasets.Image())


def png(seed: int) -> bytes:
    noise_images(1, seed=seed)[0].save(file := io.BytesIO(), "png")
    return file.getvalue()


def naming(path: str) -> bytes:
    """A parquet file whose last image is a file elsewhere."""
    cells: list[Any] = [{"bytes": png(i), "path": f"{i}.png"} for i in range(5)]
    cells += [{"bytes": None, "path": path}]
    data = datasets.Dataset.from_dict({"image": cells}, features=FEATURES)
    pq.write_table(data.data.table, file := io.BytesIO())
    return file.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    with zipfile.ZipFile(file := io.BytesIO(), "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return file.getvalue()


@pytest.fixture(scope="module")
def hub(demo: Path) -> Iterator[StandInHub]:
    config = (demo / "models" / "robust-0" / "config.json").read_bytes()
    with serve() as hub:
        hub.add("model", "lab/robust", demo / "models" / "robust-0")
        hub.add("model", "lab/robust", demo / "models" / "robust-1", branch="second")
        hub.add("model", "lab/pickled", {"config.json": config, "pytorch_model.bin": b""})
        hub.add("dataset", "lab/images", demo / "images")
        files = {f"{i}.png": png(i) for i in range(5)}
        hub.add("dataset", "lab/files", files)
        hub.add("dataset", "lab/zipped", {"test.zip": zipped(files)})
        for name, path in ELSEWHERE.items():
            hub.add("dataset", f"lab/{name}", {"test.parquet": naming(path)})
        yield hub


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def online(hub: StandInHub, home: Path) -> Answers:
    return ask(THERE | NOT_THERE | THEFTS, hub.url, home)


def test_a_model_and_a_dataset_are_pinned_to_their_commits(
    online: Answers, hub: StandInHub
) -> None:
    assert online["main"]["revision"] == hub.repo("model", "lab/robust").at("main").sha
    assert online["second"]["revision"] == hub.repo("model", "lab/robust").at("second").sha
    assert online["images"]["revision"] == hub.repo("dataset", "lab/images").at("main").sha
    assert online["main"]["width"] == 80
    assert len(online["images"]["indices"]) == 5


def test_a_revision_can_be_given_in_two_ways(online: Answers) -> None:
    assert online["second"] == online["second, apart"]
    assert online["second"]["weights"] != online["main"]["weights"]


def test_offline_the_cache_gives_the_same(online: Answers, home: Path, hub: StandInHub) -> None:
    before = len(hub.seen)
    assert ask(THERE, hub.url, home, offline=True) == {name: online[name] for name in THERE}
    assert len(hub.seen) == before


@pytest.mark.verify
def test_a_hub_out_of_reach_leaves_the_cache(online: Answers, home: Path) -> None:
    questions = {"main": THERE["main"]}
    assert ask(questions, "http://127.0.0.1:9", home) == {"main": online["main"]}


@pytest.mark.parametrize(
    ("question", "told"),
    [
        ("model", ["no model 'lab/nothing' on the Hub"]),
        ("revision", ["no revision 'secund'", "did you mean second?"]),
        ("pickled", ["pickled weights only", "pytorch_model.bin", "safetensors"]),
        ("dataset", ["no dataset 'lab/nothing' on the Hub"]),
        ("dataset revision", ["no revision 'mian'", "did you mean main?"]),
    ],
)
def test_what_is_not_there_is_told_in_one_line(
    online: Answers, question: str, told: list[str]
) -> None:
    error = online[question]["error"]
    assert "\n" not in error
    assert all(words in error for words in told), error


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_dataset_names_its_own_files_alone(online: Answers, name: str, hub: StandInHub) -> None:
    named = "the dataset names a file outside of its repo"
    assert online[name]["error"] == f"{named}: {ELSEWHERE[name]}"
    assert [line for line in hub.seen if "lab/closed" in line] == []


def test_images_in_files_and_in_an_archive_are_the_same(online: Answers) -> None:
    assert online["files"]["fingerprint"] == online["zipped"]["fingerprint"]


@pytest.mark.parametrize(
    "offline",
    [
        pytest.param(True, id="switched off"),
        pytest.param(False, id="out of reach", marks=pytest.mark.verify),
    ],
)
def test_without_the_hub_and_the_cache_it_is_told_in_one_line(
    tmp_path: Path, offline: bool
) -> None:
    answers = ask(THERE, "http://127.0.0.1:9", tmp_path, offline=offline)
    for answer in answers.values():
        assert "\n" not in answer["error"]
        why = "was not asked (HF_HUB_OFFLINE=1)" if offline else "cannot be reached (ConnectError)"
        assert f"is not in the cache, and the Hub {why}" in answer["error"]
