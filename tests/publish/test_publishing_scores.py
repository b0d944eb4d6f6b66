"""Scores on the Hub: in the repo, in the models' own repos, on the leaderboard."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # has none
from huggingface_hub import ModelCard

from stir_hf.demo import IMAGES
from tests.publish.clients import Worker, files_of
from tests.publish.conftest import QUICK
from tests.stand_in_hub import Fault, StandInHub


def test_a_hub_that_takes_no_eval_yaml_takes_the_rest(
    worker: Worker, run: Path, hub: StandInHub
) -> None:
    hub.faults.append(Fault("POST", "/commit/", status=400))
    found = worker.run("push", run, "--to", "lab/no-benchmark")
    assert found.returncode == 0, found.stderr
    assert "does not take its eval.yaml" in found.stderr
    assert "eval.yaml" not in files_of(hub, "lab/no-benchmark")
    assert worker.json("leaderboard", "lab/no-benchmark")["boards"]


@pytest.mark.verify
def test_tasks_of_others_stay_in_eval_yaml(worker: Worker, run: Path, hub: StandInHub) -> None:
    theirs = b"name: Mine\ntasks:\n- id: other\n"
    hub.add("dataset", "lab/tasks", {"README.md": b"", "eval.yaml": theirs})
    worker.done("push", run, "--to", "lab/tasks")
    found = yaml.safe_load(files_of(hub, "lab/tasks")["eval.yaml"])
    assert found["name"] == "Mine"
    assert len(found["tasks"]) == 3
    assert found["tasks"][0] == {"id": "other"}


@pytest.mark.verify
def test_scores_on_what_is_not_public_are_private(
    worker: Worker, hub: StandInHub, tmp_path: Path
) -> None:
    worker.done("invert", "lab/robust-0", "--dataset", IMAGES, *QUICK, "--out", tmp_path)
    words = ("score", "lab/standard-0", "--inversions", tmp_path, "--push-to", "lab/hidden")
    found = worker.run(*words)
    assert found.returncode == 0, found.stderr
    assert "lab/hidden is made private: the dataset" in found.stderr
    assert hub.repo("dataset", "lab/hidden").private
    told = worker.run(*words, "--public").stderr
    assert "lab/hidden is private and stays so" in told


def test_others_results_that_are_no_numbers_are_passed_over(
    worker: Worker, run: Path, hub: StandInHub
) -> None:
    worker.done("push", run, "--to", "lab/odd-results")
    entry = {"dataset": {"id": "lab/odd-results", "task_id": "x"}, "value": "71%", "notes": "n=1,0"}
    hub.add("model", "other/odd", {".eval_results/a.yaml": yaml.safe_dump([entry]).encode()})
    found = worker.run("leaderboard", "lab/odd-results", "--json")
    assert found.returncode == 0, found.stderr
    assert "Server error" not in found.stderr
    assert sum(len(one["lines"]) for one in json.loads(found.stdout)["boards"]) == 2
    del hub.repos["model", "other/odd"]


def test_scores_of_many_runs_in_a_repo_of_their_own(
    worker: Worker, run: Path, hub: StandInHub
) -> None:
    worker.done("push", run, "--to", "lab/results", "--scores-only")
    files = [p for p in files_of(hub, "lab/results") if p.startswith("scores/")]
    assert len(files) == 2
    assert not [p for p in files_of(hub, "lab/results") if "data-" in p]
    assert len(worker.json("leaderboard", "lab/results")["boards"]) == 2
    line = worker.refused(2, "score", "lab/robust-1", "--inversions", "lab/results")
    assert "holds no inversions; it holds the configs scores" in line


def test_scores_in_the_models_own_repos(worker: Worker, run: Path, hub: StandInHub) -> None:
    words = ("push", run, "--to", "lab/bench", "--eval-results")
    worker.done(*words)
    assert worker.json(*words)["pushed"][1]["changed"] is False
    repo = hub.repo("model", "lab/standard-0")
    assert len(repo.pulls) == 1
    found = repo.at("refs/pr/1").files
    ((path, blob),) = [(p, b) for p, b in found.items() if p.startswith(".eval_results/")]
    (entry,) = yaml.safe_load(blob.data)
    result = json.loads((run / "result.json").read_text())
    assert entry["value"] == result["scores"][0]["stir"]
    assert entry["dataset"]["id"] == "lab/bench"
    tasks = yaml.safe_load(files_of(hub, "lab/bench")["eval.yaml"])["tasks"]
    assert entry["dataset"]["task_id"] in [task["id"] for task in tasks]
    assert entry["source"]["url"].startswith(f"{hub.url}/datasets/lab/bench/blob/main/scores/")
    assert "floor=" in entry["notes"]
    assert path.endswith(".yaml")


def test_a_leaderboard_shows_fine_tuned_models_too(
    worker: Worker, run: Path, hub: StandInHub, tmp_path: Path
) -> None:
    worker.done("push", run, "--to", "lab/tuned")
    notes = (
        "set={}; layer=penultimate; measure=linear_cka; n=6; draws=1; floor=0.1; error=0.2;"
        " stir_debiased={}"
    )
    (board,) = [
        one
        for one in worker.json("leaderboard", "lab/tuned")["boards"]
        if one["reference"].startswith("lab/robust-0")
    ]
    for name, card in (("fine", b"---\nbase_model: lab/robust-0\n---\n"), ("plain", b"")):
        value = 0.99 if name == "fine" else 0.01
        entry = {
            "dataset": {"id": "lab/tuned", "task_id": "x"},
            "value": value,
            "notes": notes.format(board["inversion_set"], value if name == "fine" else -0.9),
        }
        text = yaml.safe_dump([entry]).encode()
        hub.add("model", f"other/{name}", {"README.md": card, ".eval_results/a.yaml": text})
    (board,) = [
        one
        for one in worker.json("leaderboard", "lab/tuned")["boards"]
        if one["inversion_set"] == board["inversion_set"]
    ]
    models = [line["model"].partition("@")[0] for line in board["lines"]]
    assert models == ["other/fine", "lab/standard-0", "other/plain"]
    assert board["lines"][0]["source"] == ".eval_results/a.yaml"
    assert [line["reported"] for line in board["lines"]] == [True, False, True]


@pytest.mark.verify
def test_model_index_keeps_others_entries(worker: Worker, run: Path, hub: StandInHub) -> None:
    card = """---
license: mit
model-index:
- name: mine
  results:
  - task: {type: image-classification}
    dataset: {type: fashion_mnist, name: Fashion-MNIST}
    metrics:
    - {type: accuracy, value: 0.91}
---
# Mine
"""
    hub.add("model", "lab/standard-0", {"README.md": card.encode()})
    words = ("push", run, "--to", "lab/indexed", "--model-index")
    worker.done(*words)
    worker.done(*words)
    made: Any = ModelCard(files_of(hub, "lab/standard-0", "model")["README.md"].decode())
    results: Any = made.data.eval_results
    assert [(r.metric_type, r.dataset_type) for r in results] == [
        ("accuracy", "fashion_mnist"),
        ("stir", "lab/indexed"),
    ]
    assert made.text.strip() == "# Mine"
    assert not any(one["changed"] for one in worker.json(*words)["pushed"])


@pytest.mark.verify
def test_push_to_hub_of_the_objects(worker: Worker, run: Path, hub: StandInHub) -> None:
    code = (
        "import sys; from pathlib import Path; import stir_hf\n"
        "folder = Path(sys.argv[1])\n"
        "sets = stir_hf.Inversions.load_all(folder)\n"
        "print(*(one.push_to_hub('lab/objects', private=True) for one in sets))\n"
        "print(stir_hf.StirResult.load(folder).push_to_hub('lab/objects'))\n"
        "print(len(stir_hf.Inversions.load_all('lab/objects')))\n"
    )
    shown = worker.python(code, str(run)).splitlines()
    url = f"{hub.url}/datasets/lab/objects"
    assert shown == [f"{url} {url}", url, "2"]
    assert hub.repo("dataset", "lab/objects").private
    assert sum(p.startswith("scores/") for p in files_of(hub, "lab/objects")) == 2
