"""Names that others chose, through every command: no terminal obeys them, no row is forged."""

import json
import os
import pty
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stir_hf.demo import model_path
from tests import warm
from tests.publish.clients import Client, Worker, files_of
from tests.stand_in_hub import Fault, StandInHub

EVIL = "evil\x1b[31m\x1b]0;title\x07\n| forged | 1.000 |\u202e\x9b2J"
LINE = EVIL.replace("[", "(").replace("]", ")").replace("\n", " ")
"""The same as a folder may be called whose images `datasets` reads."""
QUICK = ("--num-samples", 4, "--steps", 2)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A checkpoint, images and folders for runs whose names are hostile."""
    folder = tmp_path_factory.mktemp("places")
    model, data = folder / f"model {EVIL}", folder / f"data {LINE}"
    shutil.copytree(model_path("robust-0"), model)
    config = json.loads((model / "config.json").read_text())
    config["id2label"] = {str(i): f"{EVIL} {i}" for i in range(10)}
    config["label2id"] = {f"{EVIL} {i}": i for i in range(10)}
    (model / "config.json").write_text(json.dumps(config))
    rng = np.random.default_rng(0)
    for i in range(6):
        path = data / f"class {LINE} {i % 2}" / f"{LINE} {i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (28, 28), dtype=np.uint8)).save(path)
    (data / f"class {LINE} 0" / f"broken {LINE}.png").write_bytes(b"\x89PNG\r\n")
    return {"model": model, "data": data, "run": folder / f"run {EVIL}", "folder": folder}


@pytest.fixture(scope="module")
def evil_run(worker: Worker, places: dict[str, Path]) -> Path:
    words = ("compare", places["model"], "lab/robust-1", "--dataset", places["data"], *QUICK)
    done = worker.run(*words, "--out", places["run"])
    assert done.returncode == 0, done.stderr
    check(done)
    return places["run"]


@pytest.fixture(scope="module")
def evil_set(worker: Worker, hub: StandInHub, evil_run: Path) -> str:
    """A published set in whose manifest every name is hostile."""
    worker.done("push", evil_run, "--to", "lab/evil", "--public")
    files = files_of(hub, "lab/evil")
    changed = {}
    for path in (path for path in files if path.endswith("/inversions.json")):
        record = json.loads(files[path])
        names = record["names"]
        more = dict.fromkeys(("reference", "dataset", "split", "config_name", "layer"), EVIL)
        record["names"] = {
            **names,
            **{k: v for k, v in more.items() if k in names},
            "notes": [EVIL],
        }
        changed[path] = json.dumps(record).encode()
    hub.add("dataset", "lab/hostile", {**files, **changed})
    return "lab/hostile"


def check(done: "subprocess.CompletedProcess[str]") -> None:
    """Assert that nothing of what a command printed is obeyed by a terminal, or a row of others."""
    text = done.stdout + done.stderr
    assert [char for char in text if not (char.isprintable() or char in "\r\n")] == []
    assert not [line for line in text.splitlines() if line.lstrip().startswith("| forged")]
    assert "Traceback" not in text


@pytest.mark.verify
def test_commands_on_folders_with_hostile_names(
    worker: Worker, places: dict[str, Path], evil_run: Path, tmp_path: Path
) -> None:
    model, data = places["model"], places["data"]
    every = [
        ("invert", model, "--dataset", data, *QUICK, "--out", tmp_path / f"out {EVIL}"),
        ("invert", model, "--dataset", data, *QUICK, "--out", tmp_path / "dry", "--dry-run"),
        ("compare", model, "lab/robust-1", "--dataset", data, *QUICK, "--dry-run"),
        ("matrix", model, "lab/robust-1", "lab/standard-0", "--dataset", data, *QUICK),
        ("score", model, "lab/standard-0", "--inversions", evil_run),
        ("score", model, "--inversions", evil_run, "--layer", EVIL),
        ("layers", model),
        ("merge", evil_run, "--out", tmp_path / EVIL),
        ("push", evil_run, "--to", "lab/one"),
        ("push", evil_run, "--to", "lab/two", "--public"),
        ("push", evil_run, "--to", "lab/four", "--scores-only"),
        ("leaderboard", "lab/two"),
    ]
    for words in every:
        done = worker.run(*words)
        check(done)
        assert done.returncode == 0 or words[0] == "merge" or EVIL in words, done.stderr


def test_commands_that_refuse_hostile_words(worker: Worker, places: dict[str, Path]) -> None:
    model, data = places["model"], places["data"]
    every = [
        ("invert", EVIL, "--dataset", data, "--out", "x"),
        ("invert", model, "--dataset", EVIL, "--out", "x"),
        ("invert", model, "--dataset", data, "--split", EVIL, "--out", "x"),
        ("invert", model, "--dataset", data, "--config-name", EVIL, "--out", "x"),
        ("invert", model, "--dataset", data, "--method", EVIL, "--out", "x"),
        ("compare", model, EVIL, "--dataset", data),
        ("matrix", model, f"lab/{EVIL}", "--dataset", data),
        ("score", model, "--inversions", EVIL),
        ("layers", EVIL),
        ("merge", EVIL, "--out", "x"),
        ("push", EVIL, "--to", "lab/x"),
        ("push", places["run"], "--to", EVIL),
        ("leaderboard", EVIL),
        ("publish-metric", EVIL),
        ("publish-space", EVIL),
        (f"--{EVIL}",),
        (EVIL,),
    ]
    for words in every:
        done = worker.run(*words)
        check(done)
        assert done.returncode in (1, 2), words


@pytest.mark.verify
def test_a_published_set_with_hostile_names(worker: Worker, evil_set: str, tmp_path: Path) -> None:
    for words in (
        ("score", "lab/standard-0", "--inversions", evil_set, "--out", tmp_path / "a"),
        ("score", "lab/standard-0", "--inversions", evil_set, "--json"),
        ("score", "lab/standard-0", "--inversions", evil_set, "--set", EVIL),
        ("push", tmp_path / "a", "--to", "lab/three", "--scores-only"),
        ("leaderboard", "lab/three"),
        ("leaderboard", evil_set, "--json"),
    ):
        check(worker.run(*words))


@pytest.mark.verify
def test_what_the_hub_says_is_printable(worker: Worker, hub: StandInHub, evil_run: Path) -> None:
    said = {"X-Error-Message": "no\x9b2J \x9d0;title\x9c", "X-Error-Code": "\x9b31m"}
    for status in (400, 401, 402, 403, 404, 413, 422):
        hub.faults[:] = [Fault("POST", "/commit/", status=status, headers=said)] * 2
        check(worker.run("push", evil_run, "--to", "lab/said", "--public", STIR_HF_HUB_TIMEOUT="0"))
        hub.faults[:] = [Fault("GET", "/api/datasets/lab/said", status=status, headers=said)] * 3
        check(worker.run("leaderboard", "lab/said", STIR_HF_HUB_TIMEOUT="0"))
    hub.faults.clear()


@pytest.mark.verify
def test_a_terminal_obeys_nothing_of_a_hostile_set(client: Client, evil_set: str) -> None:
    first, second = pty.openpty()
    words = ["-m", "stir_hf", "score", "lab/standard-0", "--inversions", evil_set]
    env = client.env(HF_HUB_DISABLE_PROGRESS_BARS="0", TERM="xterm")
    process = warm.start(words, env, second, second, second)
    os.close(second)
    shown = b""
    while part := _read(first):
        shown += part
    code = process.wait(300)
    os.close(first)
    text = shown.decode().replace("\x1b[A", "")  # where bars go up a line
    check(subprocess.CompletedProcess(words, code, text, ""))
    assert text.strip()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # its other end is closed
        return b""
