"""Models and data by Hub id, against a stand-in Hub. HF_ENDPOINT is read at import, so each client is a process."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.stand_in_hub import StandInHub, commit_of, serve

Client = Callable[..., dict[str, Any]]

CLIENT = """
import json, sys
import torch
torch.set_num_threads(1)
from stir_hf.errors import RequestError
ask = json.loads(sys.argv[1])
try:
    if "model" in ask:
        from stir_hf import load_encoder
        encoder = load_encoder(ask["model"], revision=ask.get("revision"), device="cpu")
        answer = {**encoder.identity, "shape": list(encoder(torch.zeros(1, encoder.channels, 28, 28)).shape)}
    else:
        from stir_hf.config import DataSpec
        from stir_hf.images import open_images
        images = open_images(ask["dataset"], DataSpec(ask["dataset"], num_samples=5, revision=ask.get("revision")))
        answer = {**images.identity, "indices": images.indices}
except RequestError as error:
    answer = {"error": str(error)}
print("ANSWER" + json.dumps(answer))
"""


@pytest.fixture(scope="module")
def hub(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandInHub]:
    pickled = tmp_path_factory.mktemp("pickled")
    shutil.copytree(demo / "models" / "robust-0", pickled, dirs_exist_ok=True)
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    models = demo / "models"
    repos = {
        "models/lab/robust": {"main": models / "robust-0", "second": models / "robust-1"},
        "models/lab/pickled": {"main": pickled},
        "datasets/lab/images": {"main": demo / "images"},
    }
    with serve(repos) as hub:
        yield hub


@pytest.fixture
def client(hub: StandInHub, tmp_path: Path) -> Client:
    def ask(endpoint: str = hub.url, offline: bool = False, **what: str) -> dict[str, Any]:
        env = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1"}
        env |= {"HF_HUB_OFFLINE": "1"} if offline else {}
        command = [sys.executable, "-c", CLIENT, json.dumps(what)]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
        assert "ANSWER" in done.stdout, done.stderr[-3000:]
        answer: dict[str, Any] = json.loads(done.stdout.rpartition("ANSWER")[2])
        return answer

    return ask


@pytest.mark.parametrize(
    ("model", "revision", "branch"),
    [("lab/robust", None, "main"), ("lab/robust@second", None, "second"), ("lab/robust", "second", "second")],
)
def test_a_model_is_pinned_to_the_commit_and_is_there_offline(
    client: Client, model: str, revision: str | None, branch: str
) -> None:
    what = {"model": model} | ({"revision": revision} if revision else {})
    online = client(**what)
    assert online["revision"] == commit_of("models/lab/robust", branch)
    assert online["shape"] == [1, 80]
    assert client(offline=True, **what) == online


def test_branches_are_different_networks(client: Client) -> None:
    assert client(model="lab/robust")["fingerprint"] != client(model="lab/robust@second")["fingerprint"]


def test_a_dataset_is_pinned_to_the_commit_and_is_there_offline(client: Client) -> None:
    online = client(dataset="lab/images")
    assert online["revision"] == commit_of("datasets/lab/images", "main")
    assert len(online["indices"]) == 5
    assert client(offline=True, dataset="lab/images") == online


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ({"model": "lab/nothing"}, ["no model 'lab/nothing' on the Hub"]),
        ({"model": "lab/robust@secund"}, ["no revision 'secund'", "did you mean second?"]),
        ({"model": "lab/pickled"}, ["pickled weights only", "pytorch_model.bin", "safetensors"]),
        ({"dataset": "lab/nothing"}, ["no dataset 'lab/nothing' on the Hub"]),
        ({"dataset": "lab/images", "revision": "mian"}, ["no revision 'mian'", "did you mean main?"]),
    ],
    ids=["model", "revision", "pickled", "dataset", "dataset revision"],
)
def test_what_is_not_there_is_told_in_one_line(client: Client, what: dict[str, str], told: list[str]) -> None:
    error = client(**what)["error"]
    assert "\n" not in error
    assert all(words in error for words in told), error


@pytest.mark.parametrize("offline", [False, True])
@pytest.mark.parametrize("what", [{"model": "lab/robust"}, {"dataset": "lab/images"}], ids=["model", "dataset"])
def test_a_hub_out_of_reach_is_told_in_one_line(client: Client, what: dict[str, str], offline: bool) -> None:
    error = client(endpoint="http://127.0.0.1:9", offline=offline, **what)["error"]
    assert "\n" not in error
    assert "cannot be reached" in error
    assert "not in the cache" in error
