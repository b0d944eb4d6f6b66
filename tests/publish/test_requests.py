"""How often the Hub is asked: each repo once in a run, since it allows 1,000 requests in five
minutes.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load, save

from stir_hf.demo import IMAGES, model_path
from stir_hf.errors import RequestError
from stir_hf.hub import again
from tests import warm
from tests.publish.clients import Client, Worker
from tests.stand_in_hub import Fault, StandInHub, serve

COUNT = 10
QUICK = ("--num-samples", 6, "--steps", 1)
MODELS = [f"many/model-{i}" for i in range(COUNT)]


@pytest.fixture(scope="module")
def hub() -> Iterator[StandInHub]:
    """A Hub with models that differ in one weight."""
    folder = Path(model_path("robust-0"))
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    with serve({"hf_lab": "lab", "hf_many": "many"}) as hub:
        for i, name in enumerate(MODELS):
            weights = load(files["model.safetensors"])
            first = min(n for n, w in weights.items() if w.is_floating_point())
            weights[first] *= 1 + i / 1000
            changed = save(weights, {"format": "pt"})
            hub.add("model", name, {**files, "model.safetensors": changed})
        hub.add("dataset", "many/images", IMAGES)
        yield hub


@pytest.fixture(scope="module")
def many(hub: StandInHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    worker = Worker(hub, tmp_path_factory.mktemp("many"), "hf_many")
    yield worker
    worker.end()


def asked(hub: StandInHub, before: int) -> dict[str, int]:
    """The requests since then, but for one of the client's own, about programs that use it."""
    counts = hub.counts(before)
    counts.pop("GET /api/agent-harnesses", None)
    return counts


@pytest.fixture(scope="module")
def matrix(hub: StandInHub, many: Worker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a matrix with an empty cache, and what it asked for beside it."""
    folder = tmp_path_factory.mktemp("matrix")
    before = len(hub.seen)
    many.done("matrix", *MODELS, "--dataset", "many/images", *QUICK, "--out", folder / "run")
    (folder / "asked.json").write_text(json.dumps(asked(hub, before)))
    return folder


@pytest.mark.verify
def test_a_matrix_of_ten_models_takes_few_requests(matrix: Path) -> None:
    counts = json.loads((matrix / "asked.json").read_text())
    assert sum(counts.values()) < 60, counts
    assert all(counts[f"GET /api/models/{name}"] == 1 for name in MODELS)
    assert not [line for line in counts if "training.json" in line]


@pytest.mark.verify
def test_what_is_in_the_cache_takes_one_request_for_each_repo(
    matrix: Path, many: Worker, hub: StandInHub
) -> None:
    before = len(hub.seen)
    many.done("compare", *MODELS[:2], "--dataset", "many/images", *QUICK)
    repos = [f"models/{MODELS[0]}", f"models/{MODELS[1]}", "datasets/many/images"]
    assert asked(hub, before) == {f"GET /api/{repo}": 1 for repo in repos}


@pytest.mark.verify
def test_a_push_asks_about_each_source_once(
    matrix: Path, many: Worker, hub: StandInHub, tmp_path: Path
) -> None:
    before = len(hub.seen)
    many.done("push", matrix / "run", "--to", "many/inversions")
    counts = asked(hub, before)
    counts = {line: n for line, n in counts.items() if not line.startswith("PUT ")}
    assert sum(counts.values()) < 30, counts
    sources = [f"GET /api/models/{name}" for name in MODELS] + ["GET /api/datasets/many/images"]
    assert [counts[line] for line in sources] == [1] * len(sources), counts
    fresh = Client(hub, tmp_path, "hf_many")
    before = len(hub.seen)
    words = ("--inversions", "many/inversions", "--set")
    name = next(p.name for p in (matrix / "run" / "inversions").iterdir())
    fresh.done("score", *MODELS, *words, name)
    assert sum(asked(hub, before).values()) < 60
    before = len(hub.seen)
    fresh.done("leaderboard", "many/inversions")
    boards = asked(hub, before)
    scores = COUNT * (COUNT - 1)
    assert sum(boards.values()) <= 2 * scores + COUNT + 4, boards  # each file, each model


@pytest.mark.verify
def test_the_scores_of_one_model_go_into_its_repo_together(
    matrix: Path, many: Worker, hub: StandInHub
) -> None:
    before = len(hub.seen)
    words = ("push", matrix / "run", "--to", "many/reported", "--eval-results")
    pushed = many.json(*words)["pushed"]
    assert len(pushed) == 1 + COUNT
    counts = asked(hub, before)
    for name in MODELS:
        lines = {n for line, n in counts.items() if f"/models/{name}" in line}
        assert sum(n for line, n in counts.items() if f"/models/{name}/commit" in line) == 1
        assert max(lines) <= 2, counts
        assert len(hub.repo("model", name).pulls) == 1
        files = hub.repo("model", name).at("refs/pr/1").files
        assert len([p for p in files if p.startswith(".eval_results/")]) == COUNT - 1
    assert sum(n for line, n in counts.items() if "/models/" in line) <= 7 * COUNT, counts


SESSION = """
import sys
import stir_hf
from stir_hf import hub

def commit():
    return stir_hf.load_encoder("many/model-0", device="cpu").recorded()["revision"]

first = commit()
with hub.one_run():
    within = commit()
    input()
    assert commit() == within == first
print(first, commit())
"""


@pytest.mark.verify
def test_a_new_commit_is_seen_in_the_same_python_session(many: Worker, hub: StandInHub) -> None:
    session = warm.talk(["-c", SESSION], many.env())
    before = hub.repo("model", "many/model-0").at("main").sha
    deadline = time.monotonic() + 120
    seen = len(hub.seen)
    while sum(s == "GET /api/models/many/model-0" for s in hub.seen[seen:]) < 2:
        assert time.monotonic() < deadline
        assert session.process.poll() is None
        time.sleep(0.1)
    after = hub.add("model", "many/model-0", {"more.txt": b"more"})
    session.stdin.write("\n")
    session.stdin.flush()
    assert session.stdout.readline().split() == [before, after]
    session.end()


LIMIT = {"RateLimit": '"api";r=0;t=1', "RateLimit-Policy": '"fixed window";"api";q=1000;w=300'}
BUSY: dict[str, tuple[str, str, dict[str, Any]]] = {
    "a limit of requests": ("GET", "/api/models/many/model-1", {"status": 429, "headers": LIMIT}),
    "Retry-After": ("GET", "/api/models/", {"status": 429, "headers": {"Retry-After": "1"}}),
    "503 on the model": ("GET", "/api/models/many/model-1", {"status": 503}),
    "lost on the dataset": ("GET", "/api/datasets/many/images", {"drop": True}),
    "503 on a small file": ("GET", "/resolve/.*config.json", {"status": 503}),
    "503 on the weights": ("HEAD", "/resolve/.*safetensors", {"status": 503}),
}


@pytest.mark.verify
def test_reading_waits_for_a_hub_that_is_busy(hub: StandInHub, tmp_path: Path) -> None:
    client = Client(hub, tmp_path, None, patience=30)
    hub.faults.extend(Fault(method, path, **how) for method, path, how in BUSY.values())
    client.done("compare", *MODELS[1:3], "--dataset", "many/images", *QUICK)
    assert not hub.faults


def test_a_limit_that_outlasts_the_patience_is_told(hub: StandInHub, tmp_path: Path) -> None:
    limit = {"RateLimit": '"api";r=0;t=250'}
    hub.faults.append(Fault("GET", "/api/models/", status=429, headers=limit))
    line = Client(hub, tmp_path, None).refused(2, "layers", MODELS[1])
    assert f"the Hub asks to wait 251 s before more is asked of model {MODELS[1]}" in line


@pytest.mark.verify
@pytest.mark.parametrize("offline", [False, True], ids=["out of reach", "switched off"])
def test_nothing_is_waited_for_where_the_cache_has_all(
    matrix: Path, many: Worker, hub: StandInHub, offline: bool
) -> None:
    more = {"STIR_HF_HUB_TIMEOUT": "600", "HF_ENDPOINT": "http://127.0.0.1:9"}
    more |= {"HF_HUB_OFFLINE": "1"} if offline else {}
    before = time.monotonic()
    Client(hub, many.home).done("layers", MODELS[0], **more)
    assert time.monotonic() - before < 90


@pytest.mark.parametrize("given", ["abc", "-1", "nan", "inf"])
def test_a_patience_that_is_no_time_is_told(
    hub: StandInHub, tmp_path: Path, given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STIR_HF_HUB_TIMEOUT", given)
    with pytest.raises(RequestError, match=f"STIR_HF_HUB_TIMEOUT is '{given}'; expected a number"):
        again(lambda: None, "model a/b")


def test_a_refusal_to_read_says_what_was_read(hub: StandInHub, tmp_path: Path) -> None:
    said = "This account is suspended"
    hub.faults.append(Fault("GET", "/resolve/[^/]*/config.json", status=403, said=said))
    line = Client(hub, tmp_path, None).refused(2, "layers", MODELS[1])
    assert f"the Hub refused config.json of model {MODELS[1]} with status 403" in line
    assert said in line
