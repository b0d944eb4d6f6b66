"""Repos that are in the cache in part, by other tools than this one: what is missing is told as
that, and not as a fault of the repo.
"""

import io
import json
import os
from collections.abc import Iterator
from pathlib import Path

import datasets
import pyarrow.parquet as pq
import pytest

from tests import warm
from tests.stand_in_hub import StandInHub, serve
from tests.test_hub import FEATURES, Answers, Question, ask, png

FETCH = """
import json, sys
from huggingface_hub import hf_hub_download, snapshot_download
for kind, repo, names in json.loads(sys.argv[1]):
    for name in names:
        if "*" in name:
            snapshot_download(repo, repo_type=kind, allow_patterns=[name])
        else:
            hf_hub_download(repo, name, repo_type=kind)
"""
SWITCHED_OFF = "the Hub was not asked (HF_HUB_OFFLINE=1)"
MODEL = ("config.json", "model.safetensors", "preprocessor_config.json")
SHARDS = [f"data/{split}-0000{i}-of-00002.parquet" for split in ("train", "test") for i in range(2)]

CASES: dict[str, tuple[str, tuple[str, ...], str]] = {
    "config": ("model", MODEL[:1], "expected model.safetensors"),
    "weights": ("model", MODEL[1:2], "has no config.json"),
    "no-processor": (
        "model",
        MODEL[:2],
        "preprocessor_config.json of model 'lab/no-processor' is not in the cache",
    ),
    "listed": (
        "model",
        ("config.*", "preprocessor_*"),
        "model.safetensors of model 'lab/listed' is not in the cache",
    ),
    "card": ("dataset", ("README.md",), "doesn't contain any data files"),
    "one-shard": (
        "dataset",
        ("README.md", SHARDS[2]),
        "data/test-00001-of-00002.parquet of dataset 'lab/one-shard' is not in the cache",
    ),
    "listed-shard": (
        "dataset",
        ("README.md", "data/test-00000*"),
        "data/test-00001-of-00002.parquet of dataset 'lab/listed-shard' is not in the cache",
    ),
}
"""Of each repo: its kind, what of it is in the cache, and what is told."""


def shard(seed: int) -> bytes:
    cells = [{"bytes": png(seed + i), "path": None} for i in range(5)]
    rows = datasets.Dataset.from_dict({"image": cells}, features=FEATURES)
    pq.write_table(rows.data.table, file := io.BytesIO())
    return file.getvalue()


@pytest.fixture(scope="module")
def hub(demo: Path) -> Iterator[StandInHub]:
    folder = demo / "models" / "robust-0"
    model = {name: (folder / name).read_bytes() for name in MODEL}
    data = {"README.md": b"", **{name: shard(9 * i) for i, name in enumerate(SHARDS)}}
    with serve() as hub:
        for name, (kind, _, _) in CASES.items():
            hub.add(kind, f"lab/{name}", model if kind == "model" else data)
        hub.add("dataset", "lab/other-split", data)
        yield hub


@pytest.fixture(scope="module")
def home(hub: StandInHub, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    wanted = [(kind, f"lab/{name}", names) for name, (kind, names, _) in CASES.items()]
    wanted.append(("dataset", "lab/other-split", ("README.md", *SHARDS[:2])))
    env = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"}
    warm.run(["-c", FETCH, json.dumps(wanted)], env, 120).check_returncode()
    return home


def questions() -> dict[str, Question]:
    found: dict[str, Question] = {n: {kind: f"lab/{n}"} for n, (kind, _, _) in CASES.items()}
    found["revision"] = {"model": "lab/config@second"}
    found["other split"] = {"dataset": "lab/other-split"}
    return found


@pytest.fixture(scope="module")
def offline(hub: StandInHub, home: Path) -> Answers:
    return ask(questions(), hub.url, home, offline=True)


@pytest.mark.parametrize("name", CASES)
def test_what_is_not_in_the_cache_is_told_as_that(offline: Answers, name: str) -> None:
    error = offline[name]["error"]
    assert CASES[name][2] in error
    assert "in the cache" in error
    assert SWITCHED_OFF in error


def test_a_revision_that_is_not_in_the_cache(offline: Answers) -> None:
    told = f"revision 'second' of model 'lab/config' is not in the cache, and {SWITCHED_OFF}"
    assert offline["revision"]["error"] == told


@pytest.mark.verify
def test_a_hub_out_of_reach_is_told_as_that(home: Path) -> None:
    answers = ask(questions(), "http://127.0.0.1:9", home)
    for name in CASES:
        assert "the Hub cannot be reached" in answers[name]["error"]
        assert "OFFLINE" not in answers[name]["error"]


def test_a_split_of_what_is_in_the_cache_is_read(offline: Answers) -> None:
    assert len(offline["other split"]["indices"]) == 5
