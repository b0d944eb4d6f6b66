"""From two checkpoints to a leaderboard through the stand-in Hub; every step has a process and an
empty cache of its own. (tests/publish/test_publishing.py has a cross-section for `make test`.)
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import DatasetCard

from stir_hf.demo import IMAGES, model_path
from tests.publish.clients import Client
from tests.stand_in_hub import StandInHub, serve

pytestmark = pytest.mark.verify
UPLOAD = """
import sys
from huggingface_hub import HfApi
api = HfApi()
for kind, name, folder in [one.split("=") for one in sys.argv[1:]]:
    api.create_repo(name, repo_type=kind)
    api.upload_folder(repo_id=name, folder_path=folder, repo_type=kind)
"""
TO = "lab/iris"
QUICK = ("--num-samples", 12, "--steps", 20)


@pytest.fixture(scope="module")
def hub() -> Iterator[StandInHub]:
    with serve() as hub:
        yield hub


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("round-trip")


@pytest.fixture(scope="module")
def compared(hub: StandInHub, folder: Path) -> Any:
    """What the author's `compare … --push-to` printed."""
    names = ("standard-0", "robust-0", "robust-1")
    uploads = [f"model=lab/{name}={model_path(name)}" for name in names]
    Client(hub, folder / "upload").python(UPLOAD, *uploads, f"dataset=lab/images={IMAGES}")
    author = Client(hub, folder / "author")
    words = ("compare", "lab/standard-0", "lab/robust-0", "--dataset", "lab/images", *QUICK)
    return author.json(*words, "--out", folder / "run", "--push-to", TO)


def test_anybody_gets_the_authors_score(compared: Any, hub: StandInHub, folder: Path) -> None:
    reader = Client(hub, folder / "reader", token=None)
    asked = ("--set", slug_of(hub, "robust-0"))
    found = reader.json("score", "lab/standard-0", "--inversions", TO, *asked)
    (there,), here = found["scores"], compared["scores"][0]
    assert there["stir"] == pytest.approx(here["stir"], abs=1e-6)
    for name in ("similarity", "floor", "ceiling", "debiased", "relative_error"):
        assert there[name] == pytest.approx(here[name], abs=1e-6)
    assert there["inversion_set"] == here["inversion_set"]


def test_a_third_model_is_judged_without_the_reference(
    compared: Any, hub: StandInHub, folder: Path
) -> None:
    hub.seen.clear()
    third = Client(hub, folder / "third")
    asked = ("--set", slug_of(hub, "robust-0"))
    found = third.json("score", "lab/robust-1", "--inversions", TO, *asked, "--push-to", TO)
    assert found["scores"][0]["stir"] > compared["scores"][0]["stir"]
    fetched = [line for line in hub.seen if "/resolve/" in line]
    assert not [line for line in fetched if "lab/robust-0" in line or "lab/images" in line]
    board = Client(hub, folder / "board", token=None)
    boards = board.json("leaderboard", TO)["boards"]
    assert [len(one["lines"]) for one in boards] in ([1, 2], [2, 1])
    (both,) = [one for one in boards if len(one["lines"]) == 2]
    assert [line["model"].partition("@")[0] for line in both["lines"]] == [
        "lab/robust-1",
        "lab/standard-0",
    ]
    text = board.done("leaderboard", TO)
    assert len(re.findall(r"\n\| \d+ +\| lab/", text)) == 3


def test_pushing_again_changes_nothing(compared: Any, hub: StandInHub, folder: Path) -> None:
    before = hub.repo("dataset", TO).at("main")
    again = Client(hub, folder / "again")
    assert again.json("push", folder / "run", "--to", TO) == {
        "pushed": [{"url": f"{hub.url}/datasets/{TO}", "changed": False}]
    }
    assert hub.repo("dataset", TO).at("main").sha == before.sha


def test_the_repo_is_a_dataset_that_others_read(
    compared: Any, hub: StandInHub, folder: Path
) -> None:
    files = hub.repo("dataset", TO).at("main").files
    card = DatasetCard(files["README.md"].data.decode())
    configs = [one["config_name"] for one in card.data.get("configs")]
    assert configs == [slug_of(hub, "robust-0"), slug_of(hub, "standard-0"), "scores"]
    assert card.data.get("source_datasets") == ["lab/images"]
    assert f"stir-hf score MODEL --inversions {TO}" in card.text
    code = (
        "import datasets, sys\n"
        "rows = datasets.load_dataset(sys.argv[1], sys.argv[2], split=sys.argv[3])\n"
        "print(len(rows), *(type(f).__name__ for f in rows.features.values()))\n"
        "print(rows[0].get('inverted', rows[0].get('stir')))\n"
    )
    reader = Client(hub, folder / "viewer", token=None)
    shown = reader.python(code, TO, configs[0], "test").splitlines()
    assert shown[0].split()[0] == "12"
    assert shown[0].split().count("Image") == 2
    assert "PngImageFile" in shown[1]
    assert int(reader.python(code, TO, "scores", "scores").split()[0]) >= 2


def test_nothing_of_this_machine_is_published(compared: Any, hub: StandInHub, folder: Path) -> None:
    for path, blob in hub.repo("dataset", TO).at("main").files.items():
        for word in (str(Path.home()), str(folder), "/tmp/"):
            assert word.encode() not in blob.data, (path, word)


def slug_of(hub: StandInHub, reference: str) -> str:
    files = hub.repo("dataset", TO).at("main").files
    (found,) = [
        p.partition("/")[0]
        for p in files
        if p.startswith(f"{reference}-") and p.endswith("inversions.json")
    ]
    return found
