"""What a push does when the Hub, the network or the machine misbehaves.

Every fault is survived, or answered by one line and an exit code; the same command then finishes,
in one commit. All of them run in `make verify`, which keeps a table; some in `make test`.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import keep_figures
from tests.publish.clients import Client, Worker
from tests.stand_in_hub import Fault, StandInHub

COMMIT, CREATE, LFS = "/commit/main", "/api/repos/create", "info/lfs"
RIGHT = "Forbidden: you do not have the right to write there"
QUOTA = "Private repository storage limit reached, please upgrade your plan"
PAY = "Payment required: add a card to your account"
LARGE = "The commit is too large"


@dataclass(frozen=True)
class Case:
    """A fault of a push into an empty place."""

    faults: tuple[dict[str, Any], ...]
    code: int = 0
    """Exit code; 0: survived."""
    told: str = ""
    quick: bool = False
    """Whether `make test` runs it."""
    repeats: int = 1


def fault(method: str, path: str, **how: Any) -> dict[str, Any]:
    return {"method": method, "path": path, **how}


def away(method: str, path: str, **how: Any) -> tuple[dict[str, Any], ...]:
    """For longer than the patience lasts."""
    return (fault(method, path, **how),) * 30


CASES = {
    "503 on create": Case((fault("POST", CREATE, status=503),)),
    "answer to create lost": Case((fault("POST", CREATE, drop=True, after=True),)),
    "429 on create": Case((fault("POST", CREATE, status=429, headers={"Retry-After": "1"}),)),
    "429 with a limit that ends": Case(
        (fault("POST", COMMIT, status=429, headers={"RateLimit": '"api";r=0;t=2'}),)
    ),
    "429 with a limit that lasts": Case(
        (fault("POST", COMMIT, status=429, headers={"RateLimit": '"api";r=0;t=250'}),),
        1,
        "asks to wait 251 s before more is asked of dataset lab/fault",
    ),
    "403 on create": Case((fault("POST", CREATE, status=403, said=RIGHT),), 1, "may not write to"),
    "402 on create": Case((fault("POST", CREATE, status=402, said=PAY),), 1, PAY),
    "409 without an address on create": Case(
        (fault("POST", CREATE, status=409, body={"error": "Conflict"}),),
        1,
        "has something else in the place of dataset lab/fault",
        quick=True,
    ),
    "409 without an address of a repo that is there": Case(
        (fault("POST", CREATE, status=409, after=True, body={"error": "Conflict"}),)
    ),
    "503 on commit": Case((fault("POST", COMMIT, status=503),)),
    "503 three times on commit": Case((fault("POST", COMMIT, status=503),) * 3),
    "429 on commit": Case((fault("POST", COMMIT, status=429, headers={"Retry-After": "2"}),)),
    "answer to the commit lost": Case((fault("POST", COMMIT, drop=True, after=True),), quick=True),
    "commit lost": Case((fault("POST", COMMIT, drop=True),)),
    "500 after the commit landed": Case((fault("POST", COMMIT, status=500, after=True),)),
    "504 after the commit landed": Case((fault("POST", COMMIT, status=504, after=True),)),
    "slow commit": Case((fault("POST", COMMIT, delay=3.0),)),
    "stale parent": Case((fault("POST", COMMIT, status=412),), quick=True),
    "stale parent, again and again": Case(
        away("POST", COMMIT, status=412), 1, "others keep writing"
    ),
    "Hub away at the commit": Case(away("POST", COMMIT, status=503), 1, "cannot be reached"),
    "Hub asks to wait for ever": Case(away("POST", COMMIT, status=429), 1, "asks to wait"),
    "token revoked at the commit": Case(
        (fault("POST", COMMIT, status=401),), 1, "does not accept the token"
    ),
    "403 on commit": Case((fault("POST", COMMIT, status=403, said=RIGHT),), 1, "may not write to"),
    "402 on commit": Case((fault("POST", COMMIT, status=402, said=PAY),), 1, PAY),
    "403 for a quota on commit": Case(
        (fault("POST", COMMIT, status=403, said=QUOTA),), 1, f"with status 403: {QUOTA}", quick=True
    ),
    "413 on commit": Case((fault("POST", COMMIT, status=413, said=LARGE),), 1, LARGE),
    "507 on commit": Case((fault("POST", COMMIT, status=507, said=QUOTA),), 1, QUOTA),
    "404 without a sentence on commit": Case(
        (fault("POST", COMMIT, status=404),), 1, "there is no dataset"
    ),
    "402 on preupload": Case((fault("POST", "/preupload/", status=402, said=PAY),), 1, PAY),
    "403 for a quota on the LFS batch": Case(
        (fault("POST", LFS, status=403, said=QUOTA),), 1, QUOTA
    ),
    "507 on the LFS batch": Case((fault("POST", LFS, status=507, said=QUOTA),) * 9, 1, QUOTA),
    "400 on commit": Case((fault("POST", COMMIT, status=400),)),  # goes without eval.yaml
    "503 on preupload": Case((fault("POST", "/preupload/", status=503),)),
    "connection lost at preupload": Case((fault("POST", "/preupload/", drop=True),)),
    "503 on LFS": Case((fault("PUT", "/", status=503, storage=True),)),
    "connection lost during LFS": Case((fault("PUT", "/", drop=True, storage=True),)),
    "answer to LFS lost": Case((fault("PUT", "/", drop=True, after=True, storage=True),)),
    "LFS refused": Case((fault("PUT", "/", status=403, storage=True),) * 3, 1, "with status 403"),
    "503 on the LFS batch": Case((fault("POST", LFS, status=503),)),
    "500 on the list of files": Case((fault("GET", "/tree/", status=500),)),
    "connection lost at the state": Case((fault("GET", "/revision/main", drop=True),)),
    "no answer to who I am": Case(away("GET", "/whoami", drop=True), 2, "cannot be reached"),
    "503 to who I am": Case(away("GET", "/whoami", status=503), 2, "cannot be reached"),
}
outcomes: dict[str, dict[str, Any]] = {}


@pytest.fixture(scope="module", autouse=True)
def table(request: pytest.FixtureRequest) -> Any:
    """Keep what came of all of them, where all of them ran."""
    yield
    if len(outcomes) > len(CASES):
        keep_figures("push_faults", {"outcomes": outcomes})


def whole(hub: StandInHub, repo: str, run: Path) -> None:
    """The repo holds the run, and came to it in one commit."""
    commits = hub.repo("dataset", repo).commits()
    assert len(commits) == 2, [commit.title for commit in commits]
    files = commits[0].files
    sets = [one.name for one in (run / "inversions").iterdir()]
    for one in sets:
        assert f"{one}/inversions.json" in files
        assert one in files["README.md"].data.decode()
    assert sum(path.startswith("scores/") for path in files) == 2


def forget(hub: StandInHub) -> None:
    """What earlier pushes stored, so that it is sent again."""
    for (kind, _), repo in hub.repos.items():
        for path, blob in repo.at("main").files.items():
            if kind == "dataset" and path.startswith(("scores/", "figures/", "results/")):
                hub.storage.pop(blob.sha256, None)


def names(quick: bool) -> list[Any]:
    marks = () if quick else (pytest.mark.verify,)
    return [pytest.param(n, marks=marks, id=n) for n, c in CASES.items() if c.quick == quick]


@pytest.mark.parametrize("name", [*names(True), *names(False)])
def test_a_fault_is_survived_or_told(name: str, worker: Worker, run: Path, hub: StandInHub) -> None:
    case, to = CASES[name], f"lab/fault-{list(CASES).index(name)}"
    forget(hub)
    hub.faults.extend(Fault(**one) for one in case.faults)
    found = worker.run("push", run, "--to", to)
    outcomes[name] = {"exit": found.returncode, "line": found.stderr.strip().splitlines()[-1:]}
    assert found.returncode == case.code, found.stderr
    assert "Traceback" not in found.stderr
    if case.code:
        line = found.stderr.strip().splitlines()[-1]
        assert case.told in line
        hub.faults.clear()
        worker.done("push", run, "--to", to)
    assert not hub.faults
    whole(hub, to, run)
    assert (run / "result.json").is_file()


@pytest.mark.verify
def test_a_repo_that_is_deleted_meanwhile(worker: Worker, run: Path, hub: StandInHub) -> None:
    to = "lab/deleted"

    def delete() -> None:
        del hub.repos["dataset", to]

    hub.faults.append(Fault("POST", "/preupload/", action=delete))
    line = worker.refused(1, "push", run, "--to", to)
    assert "there is no dataset lab/deleted" in line
    outcomes["repo deleted between two calls"] = {"exit": 1, "line": [line]}
    worker.done("push", run, "--to", to)
    whole(hub, to, run)


@pytest.mark.verify
def test_another_writer_between_state_and_commit(
    worker: Worker, run: Path, hub: StandInHub
) -> None:
    to = "lab/busy"
    hub.add("dataset", to, {"README.md": b"# Theirs\n"})
    theirs = {"more.txt": b"theirs"}
    hub.faults.append(Fault("POST", COMMIT, action=lambda: hub.add("dataset", to, theirs)))
    found = worker.json("push", run, "--to", to)
    assert found["pushed"][0]["changed"]
    files = hub.repo("dataset", to).at("main").files
    assert files["more.txt"].data == b"theirs"
    assert "# Theirs" in files["README.md"].data.decode()
    outcomes["another writer between state and commit"] = {"exit": 0, "line": []}


@pytest.mark.verify
def test_an_answer_to_a_pull_request_that_was_lost(
    worker: Worker, run: Path, hub: StandInHub
) -> None:
    hub.add("dataset", "other/theirs", {"README.md": b""})
    hub.faults.append(Fault("POST", COMMIT, drop=True, after=True))
    worker.done("push", run, "--to", "other/theirs", "--create-pr")
    assert len(hub.repo("dataset", "other/theirs").pulls) == 1
    outcomes["answer to a pull request lost"] = {"exit": 0, "line": []}


KILLED = {
    "who I am": ("GET", "/whoami", False),
    "create": ("POST", CREATE, False),
    "preupload": ("POST", "/preupload/", False),
    "LFS": ("PUT", "/", True),
    "before the commit": ("POST", COMMIT, False),
}


@pytest.mark.parametrize(
    "point",
    [pytest.param(p, marks=pytest.mark.verify) for p in KILLED],
)
def test_a_push_that_is_killed_goes_on(
    point: str, client: Client, worker: Worker, run: Path, hub: StandInHub
) -> None:
    method, path, storage = KILLED[point]
    to = f"lab/killed-{list(KILLED).index(point)}"
    forget(hub)
    how: dict[str, Any] = {"drop": True, "storage": storage}
    killed(client, run, to, lambda kill: Fault(method, path, action=kill, **how))
    worker.done("push", run, "--to", to)
    whole(hub, to, run)
    outcomes[f"killed at: {point}"] = {"exit": -9, "line": []}


@pytest.mark.verify
def test_a_push_that_is_killed_after_its_commit(
    client: Client, worker: Worker, run: Path, hub: StandInHub
) -> None:
    to = "lab/killed-after"
    killed(client, run, to, lambda kill: Fault("POST", COMMIT, after=True, drop=True, action=kill))
    assert worker.json("push", run, "--to", to)["pushed"][0]["changed"] is False
    whole(hub, to, run)
    outcomes["killed after the commit"] = {"exit": -9, "line": []}


def killed(
    client: Client, run: Path, to: str, fault: Callable[[Callable[[], None]], Fault]
) -> None:
    """Run a push that is killed when a request arrives."""
    command = [sys.executable, "-m", "stir_hf", "push", str(run), "--to", to]
    process = subprocess.Popen(command, env=client.env(), stderr=subprocess.DEVNULL)
    client.hub.faults.append(fault(lambda: os.kill(process.pid, signal.SIGKILL)))
    assert process.wait(timeout=120) == -signal.SIGKILL


@pytest.mark.verify
def test_two_writers_at_once(hub: StandInHub, worker: Worker, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "other"
    words = ("invert", "lab/robust-1", "--dataset", "lab/images", "--num-samples", 6)
    worker.done(*words, "--steps", 3, "--out", out)
    hub.add("dataset", "lab/both", {"README.md": b""})
    found: list[int] = []

    def push(folder: Path, home: str) -> None:
        client = Client(hub, tmp_path / home)
        found.append(client.run("push", folder, "--to", "lab/both").returncode)

    threads = [
        threading.Thread(target=push, args=(folder, str(i))) for i, folder in enumerate((run, out))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [0, 0]
    repo = hub.repo("dataset", "lab/both")
    sets = [p for p in repo.at("main").files if p.endswith("inversions.json")]
    assert len(sets) == 3
    card = repo.at("main").files["README.md"].data.decode()
    assert all(one.partition("/")[0] in card for one in sets)
    assert len(repo.commits()) == 3
    outcomes["two writers at once"] = {"exit": 0, "line": []}


@pytest.mark.verify
def test_a_disk_that_is_full(client: Client, worker: Worker, run: Path, hub: StandInHub) -> None:
    limited = ["bash", "-c", 'ulimit -f 8; trap "" XFSZ; exec "$@"', "bash"]
    words = [sys.executable, "-m", "stir_hf", "push", str(run), "--to", "lab/full-disk"]
    done = subprocess.run(
        [*limited, *words], env=client.env(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    worker.done("push", run, "--to", "lab/full-disk")
    whole(hub, "lab/full-disk", run)
    outcomes["disk full"] = {"exit": 1, "line": done.stderr.strip().splitlines()[-1:]}


@pytest.mark.verify
@pytest.mark.parametrize("what", ["data-", "inversions.json", "README.md"])
def test_a_download_that_is_cut_off(
    what: str, client: Client, worker: Worker, run: Path, hub: StandInHub
) -> None:
    worker.done("push", run, "--to", "lab/read")
    if what == "data-":
        hub.faults.append(Fault("GET", "/", truncate=100, storage=True))
    else:
        hub.faults.append(Fault("GET", f"/resolve/.*{what}", truncate=20))
    found = client.json("score", "lab/robust-1", "--inversions", "lab/read")
    assert len(found["scores"]) == 2
    assert not hub.faults
    outcomes[f"download of {what} cut off"] = {"exit": 0, "line": []}
