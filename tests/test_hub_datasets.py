"""Datasets by Hub id against a stand-in Hub: one split alone is fetched, and read again without
the Hub.
"""

import io
import json
import os
import re
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from stir_hf.data.sources.spec import DataSpec
from stir_hf.data.sources.splits import open_split
from stir_hf.errors import RequestError
from tests import warm
from tests.stand_in_hub import Fault, StandInHub, serve

CLIENT = """
import hashlib, json, sys
import datasets
from stir_hf.data.sources.spec import DataSpec
from stir_hf.data.sources.splits import open_split
from stir_hf.errors import RequestError

def answer(dataset, **options):
    try:
        opened = open_split(dataset, DataSpec(dataset, **options))
    except RequestError as error:
        return {"error": str(error)}
    split, spec, commit = opened.rows, opened.spec, opened.commit
    split = split.cast_column("image", datasets.Image())
    image = hashlib.sha256()
    for row in split:
        image.update(row["image"].tobytes())
    rest = [{k: v for k, v in row.items() if k != "image"} for row in split]
    return {"split": spec.split, "named": str(split.split), "commit": commit, "rows": rest,
            "features": repr(split.features), "images": image.hexdigest()}

print("ANSWER" + json.dumps([answer(**question) for question in json.loads(sys.argv[1])]))
"""

CARD = """---
configs:
- config_name: small
  default: true
  data_files:
  - {{split: train, path: small/train-*}}
  - {{split: test, path: small/test-*}}
- config_name: large
  data_files:
  - {{split: train, path: large/all.{kind}}}
  - {{split: held_out, path: large/rest.{kind}}}
{features}---
"""
FEATURES = """dataset_info:
- config_name: large
  features:
  - {name: image, dtype: image}
  - {name: label, dtype: {class_label: {names: {'0': cat, '1': dog}}}}
"""
SEVERAL = """---
configs:
- {config_name: fine, data_files: fine.parquet}
- {config_name: coarse, data_files: coarse.parquet}
---
"""
DIRECTORIES = """---
configs:
- {config_name: dogs, data_dir: dogs}
- {config_name: cats, data_dir: cats, drop_labels: true}
---
"""

Question = dict[str, Any]
Answers = dict[str, dict[str, Any]]
THERE: dict[str, Question] = {
    "folders": {"dataset": "lab/folders"},
    "folders train": {"dataset": "lab/folders", "split": "train"},
    "captions": {"dataset": "lab/captions"},
    "zipped": {"dataset": "lab/zipped"},
    "zipped folders": {"dataset": "lab/zipped-folders"},
    "parquet": {"dataset": "lab/parquet"},
    "parquet large": {"dataset": "lab/parquet", "config_name": "large", "split": "held_out"},
    "images small": {"dataset": "lab/images", "config_name": "small"},
    "images large": {"dataset": "lab/images", "config_name": "large", "split": "held_out"},
    "directory": {"dataset": "lab/directories", "config_name": "dogs"},
    "no labels": {"dataset": "lab/directories", "config_name": "cats"},
}
REFUSED: dict[str, tuple[Question, str]] = {
    "several splits": (
        {"dataset": "lab/parquet", "config_name": "large"},
        "several splits: train, held_out; choose one with --split",
    ),
    "split": ({"dataset": "lab/parquet", "split": "tset"}, "no split 'tset'; did you mean test?"),
    "config": (
        {"dataset": "lab/directories", "config_name": "bogs"},
        "dataset lab/directories has no configuration 'bogs'; did you mean dogs?",
    ),
    "several configs": (
        {"dataset": "lab/several"},
        "dataset lab/several has several configurations: fine, coarse; choose one with --config-",
    ),
    "script": (
        {"dataset": "lab/script"},
        "a loading script, which is not run; the Hub may have",
    ),
    "misfit": ({"dataset": "lab/misfit"}, "dataset lab/misfit cannot be loaded: Couldn't cast"),
}
NEVER_FETCHED = [
    r"/lab/captions/.*/train/",
    r"/lab/zipped/.*/train\.zip",
    r"/lab/parquet/.*/small/train",
    r"/lab/parquet/.*/large/all",
    r"/lab/images/.*/small/train",
    r"/lab/images/.*/large/all",
    r"/lab/directories/.*/train/",
]


def png(seed: int) -> bytes:
    array = np.random.default_rng(seed).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    Image.fromarray(array).save(file := io.BytesIO(), "png")
    return file.getvalue()


def parquet(seed: int, bare: bool = False) -> bytes:
    """Two labelled images; `bare`: without what `datasets` keeps of the features in the file."""
    label = datasets.ClassLabel(names=["cat", "dog"])
    features = datasets.Features(image=datasets.Image(), label=label)
    rows = {"image": [{"bytes": png(seed + i), "path": None} for i in range(2)], "label": [1, 0]}
    table = datasets.Dataset.from_dict(rows, features=features).data.table
    pq.write_table(table.replace_schema_metadata(None) if bare else table, file := io.BytesIO())
    return file.getvalue()


def zipped(seed: int, *folders: str) -> bytes:
    with zipfile.ZipFile(file := io.BytesIO(), "w") as archive:
        for folder in folders or ("",):
            archive.writestr(f"{folder}0.png", png(seed))
            archive.writestr(f"{folder}1.png", png(seed + 1))
    return file.getvalue()


def repos() -> dict[str, dict[str, bytes]]:
    both = ("train", "test")
    names = [f"{split}/{label}" for split in both for label in ("cat", "dog")]
    tree = {f"{name}/{i} [{i}].png": png(4 * i + len(name)) for name in names for i in range(3)}
    captions = {f"{split}/{i}.png": png(i + 50) for split in both for i in range(2)}
    about = b"file_name,text\n0.png,one\n1.png,two\n"
    small = {f"small/{split}-0000{i}-of-00002" for split in both for i in range(2)}
    large = ("large/all", "large/rest")
    return {
        "folders": tree,
        "captions": captions | {f"{split}/metadata.csv": about for split in both},
        "zipped": {"train.zip": zipped(1), "test.zip": zipped(5)},
        "zipped-folders": {"data.zip": zipped(1, "cat/", "dog/")},
        "script": {"README.md": b"", "script.py": b"raise SystemExit(7)", "data.tgz": b""},
        "several": {"README.md": SEVERAL.encode(), "fine.parquet": b"", "coarse.parquet": b""},
        "misfit": {
            "README.md": b"---\ndataset_info:\n  features:\n  - {name: x, dtype: image}\n---\n",
            "test.parquet": parquet(1),
        },
        "parquet": {
            "README.md": CARD.format(kind="parquet", features=FEATURES).encode(),
            **{f"{name}.parquet": parquet(len(name)) for name in small},
            **{f"{name}.parquet": parquet(len(name), bare=True) for name in large},
            ".gitattributes": b"",
        },
        "images": {
            "README.md": CARD.format(kind="png", features="").encode(),
            **{f"{name}.png": png(len(name)) for name in (*small, *large)},
        },
        "directories": {
            "README.md": DIRECTORIES.encode(),
            **{f"dogs/{path}": data for path, data in tree.items()},
            **{f"cats/{path}": data for path, data in tree.items()},
        },
    }


def ask(questions: dict[str, Question], endpoint: str, home: Path, **env: str) -> Answers:
    """What one process answers."""
    environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(home)}
    environment |= {"HF_HUB_DISABLE_XET": "1", "STIR_HF_HUB_TIMEOUT": "1", **env}
    done = warm.run(["-c", CLIENT, json.dumps(list(questions.values()))], environment, 120)
    assert "ANSWER" in done.stdout, done.stderr[-3000:]
    assert "hf_" not in done.stdout + done.stderr
    return dict(zip(questions, json.loads(done.stdout.rpartition("ANSWER")[2]), strict=True))


@pytest.fixture(scope="module")
def hub() -> Iterator[StandInHub]:
    with serve() as hub:
        for name, files in repos().items():
            hub.add("dataset", f"lab/{name}", files)
        yield hub


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def online(hub: StandInHub, home: Path) -> Answers:
    refused = {name: question for name, (question, _) in REFUSED.items()}
    return ask(THERE | refused, hub.url, home)


@pytest.mark.parametrize(
    ("question", "split", "rows", "label"),
    [
        ("folders", "test", 6, "ClassLabel(names=['cat', 'dog'])"),
        ("folders train", "train", 6, "ClassLabel(names=['cat', 'dog'])"),
        ("captions", "test", 2, "'text': Value("),
        ("zipped", "test", 2, ""),
        ("zipped folders", "train", 4, ""),
        ("parquet", "test", 4, "ClassLabel(names=['cat', 'dog'])"),
        ("parquet large", "held_out", 2, "ClassLabel(names=['cat', 'dog'])"),
        ("images small", "test", 2, ""),
        ("images large", "held_out", 1, ""),
        ("directory", "test", 6, "ClassLabel(names=['cat', 'dog'])"),
        ("no labels", "test", 6, ""),
    ],
)
def test_one_split_of_a_configuration(
    online: Answers, hub: StandInHub, question: str, split: str, rows: int, label: str
) -> None:
    answer = online[question]
    assert "error" not in answer
    assert (answer["split"], answer["named"], len(answer["rows"])) == (split, split, rows)
    assert "Image(" in answer["features"]
    assert label in answer["features"]
    assert ("ClassLabel" in answer["features"]) == ("ClassLabel" in label)
    repo = hub.repo("dataset", THERE[question]["dataset"])
    assert answer["commit"] == repo.at("main").sha


@pytest.mark.parametrize("question", REFUSED)
def test_what_cannot_be_chosen_is_told(online: Answers, question: str) -> None:
    error = online[question]["error"]
    assert "\n" not in error
    assert REFUSED[question][1] in error


def test_a_question_leaves_nothing_in_the_cache(online: Answers, home: Path) -> None:
    assert online
    assert list((home / "datasets").glob("*stir-hf-*")) == []


def test_only_the_files_of_the_split_are_fetched(online: Answers, hub: StandInHub) -> None:
    assert online
    fetched = [line for line in hub.seen if "/resolve/" in line]
    assert any("/lab/parquet/" in line and "/small/test-" in line for line in fetched)
    for shape in NEVER_FETCHED:
        assert not [line for line in fetched if re.search(shape, line)]


@pytest.mark.verify
def test_without_the_hub_the_cache_gives_the_same(
    online: Answers, hub: StandInHub, home: Path
) -> None:
    refused = {name: question for name, (question, _) in REFUSED.items()}
    before = len(hub.seen)
    assert ask(THERE | refused, hub.url, home, HF_HUB_OFFLINE="1") == online
    assert ask(THERE | refused, "http://127.0.0.1:9", home) == online
    shutil.rmtree(home / "datasets")
    assert ask(THERE, hub.url, home, HF_HUB_OFFLINE="1") == {name: online[name] for name in THERE}
    assert len(hub.seen) == before


@pytest.mark.verify
def test_a_stream_gives_the_same_and_fetches_less(
    online: Answers, hub: StandInHub, tmp_path: Path
) -> None:
    streams = {name: {**question, "streaming": True} for name, question in THERE.items()}
    before = len(hub.seen)
    found = ask(streams, hub.url, tmp_path)
    for name, answer in found.items():
        for key in ("split", "commit", "images"):
            assert answer.get(key) == online[name][key], (name, key, answer)
        assert [row.get("label") for row in answer["rows"]] == [
            row.get("label") for row in online[name]["rows"]
        ]
    fetched = [line for line in hub.seen[before:] if "/resolve/" in line]
    assert not [line for line in fetched for shape in NEVER_FETCHED if re.search(shape, line)]
    one = {"one": {**streams["parquet"], "num_samples": 1}}
    before = len(hub.seen)
    assert len(ask(one, hub.url, tmp_path)["one"]["rows"]) == 1
    assert not [line for line in hub.seen[before:] if "00001-of-00002" in line]
    again = {name: streams[name] for name in ("parquet", "parquet large", "directory")}
    for env in ({"HF_HUB_OFFLINE": "1"}, {}):
        endpoint = hub.url if env else "http://127.0.0.1:9"
        assert ask(again, endpoint, tmp_path, **env) == {name: found[name] for name in again}


def test_a_split_that_was_never_fetched_is_told_at_once(online: Answers, home: Path) -> None:
    assert online
    questions: dict[str, Question] = {
        "split": {"dataset": "lab/zipped", "split": "train"},
        "commit": {"dataset": "lab/zipped", "revision": "0" * 40},
    }
    for answer in ask(questions, "http://127.0.0.1:9", home).values():
        assert "\n" not in answer["error"]
        assert "of dataset 'lab/zipped' is not in the cache" in answer["error"]
        assert "the Hub cannot be reached" in answer["error"]


def test_a_token_that_is_not_accepted_is_told_and_the_cache_is_not_used(
    online: Answers, hub: StandInHub, home: Path
) -> None:
    commit = online["zipped"]["commit"]
    questions = {"main": THERE["zipped"], "commit": {**THERE["zipped"], "revision": commit}}
    for answer in ask(questions, hub.url, home, HF_TOKEN="hf_of_nobody").values():
        assert "\n" not in answer["error"]
        assert "status 401" in answer["error"]
        assert "hf auth login" in answer["error"]


@pytest.mark.parametrize(
    ("status", "headers", "told"),
    [
        (403, {"X-Error-Code": "GatedRepo"}, "is gated: ask for access"),
        (403, {}, "refused dataset lab/zipped with status 403; the Hub says: Fault 403"),
    ],
)
def test_refusals_are_told(
    hub: StandInHub, home: Path, status: int, headers: dict[str, str], told: str
) -> None:
    hub.faults.append(Fault("GET", "/api/datasets/lab/zipped", status=status, headers=headers))
    answer = ask({"zipped": THERE["zipped"]}, hub.url, home)["zipped"]
    assert told in answer["error"]


def test_a_path_is_a_folder(image_folder: Path) -> None:
    found = open_split(image_folder, DataSpec(str(image_folder)))
    assert (len(found.rows), found.spec.split, found.commit) == (12, "test", None)
    with pytest.raises(RequestError, match="no such dataset folder: nothing-here"):
        open_split(Path("nothing-here"), DataSpec("nothing-here"))
