"""`--num-processes`: one answer, one line, one exit code."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

import stir_hf
from stir_hf.demo import IMAGES, model_path
from tests.conftest import ROOT

MODELS = model_path("standard-0"), model_path("robust-0")
WORDS = ["compare", *MODELS, "--dataset", str(IMAGES), "--device", "cpu", "--json"]
QUICK = ["--num-samples", "12", "--steps", "6"]
TWO = ["--num-processes", "2"]


def begun(*words: str) -> "subprocess.Popen[str]":
    env = {k: v for k, v in os.environ.items() if k != "WORLD_SIZE"} | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "stir_hf", *words],
        env=env,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def done(*words: str) -> tuple[int, str, str]:
    process = begun(*words)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


@pytest.mark.verify
def test_two_processes_print_one_object(tmp_path: Path) -> None:
    code, out, err = done(*WORDS, *QUICK, *TWO, "--out", str(tmp_path / "two"))
    assert code == 0, err
    found = json.loads(out)
    assert "stir-hf: 2 processes, each on cpu" in err
    assert found["environment"]["num_processes"] == 2
    assert [score["num_samples"] for score in found["scores"]] == [12, 12]


@pytest.mark.verify
def test_a_wrong_request_is_one_line() -> None:
    code, out, err = done("compare", *MODELS, "--dataset", "./nowhere", *TWO)
    assert (code, out) == (2, "")
    (line,) = [line for line in err.splitlines() if "nowhere" in line]
    assert line.startswith("stir-hf: ")


def ranks_of(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    """The processes that it has started, by rank."""
    found = [p for p in psutil.Process(process.pid).children() if "RANK" in _env(p)]
    return sorted(found, key=lambda p: int(_env(p)["RANK"]))


def _env(process: psutil.Process) -> dict[str, Any]:
    try:
        return dict(process.environ())
    except psutil.Error:
        return {}


def wait_for(folder: Path, pattern: str, process: "subprocess.Popen[str]") -> None:
    for _ in range(1200):
        if any(folder.glob(pattern)) or process.poll() is not None:
            return
        time.sleep(0.1)
    raise AssertionError(f"no {pattern} in {folder}")


@pytest.mark.verify
@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_that_dies_ends_the_run_and_loses_little(tmp_path: Path, rank: int) -> None:
    """Killed between shards."""
    words = [*WORDS, "--num-samples", "60", "--steps", "40", "--batch-size", "4", *TWO]
    words += ["--out", str(tmp_path)]
    process = begun(*words)
    wait_for(tmp_path, "inversions/*/part-*.parquet", process)
    ranks_of(process)[rank].send_signal(signal.SIGKILL)
    killed = time.monotonic()
    _, err = process.communicate(timeout=60)
    assert time.monotonic() - killed < 30
    assert process.returncode == 1, err
    assert f"process {rank} was ended by SIGKILL" in err
    kept = sum(1 for _ in tmp_path.glob("inversions/*/part-*.parquet"))
    assert kept >= 1
    code, out, err = done(*[word for word in words if word not in TWO])  # goes on with one
    assert code == 0, err
    assert [s["num_samples"] for s in json.loads(out)["scores"]] == [60, 60]
    more = ["70" if word == "60" else "3" if word == "2" else word for word in words]
    code, out, err = done(*more, "--draws", "2")  # and with three
    assert code == 0, err
    assert [(s["num_samples"], s["draws"]) for s in json.loads(out)["scores"]] == [(70, 2)] * 2


@pytest.mark.verify
@pytest.mark.parametrize("whom", ["the launcher", "all"])
def test_when_the_launcher_dies_so_do_its_processes(tmp_path: Path, whom: str) -> None:
    words = [*WORDS, "--num-samples", "60", "--steps", "40", "--batch-size", "4", *TWO]
    words += ["--out", str(tmp_path)]
    process = begun(*words)
    wait_for(tmp_path, "inversions/*/part-*.parquet", process)
    ranks = ranks_of(process)
    assert len(ranks) == 2
    process.send_signal(signal.SIGKILL)
    if whom == "all":
        for rank in ranks:
            rank.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs(ranks, timeout=30)
    assert alive == []
    process.communicate()
    kept = sum(1 for _ in tmp_path.glob("inversions/*/part-*.parquet"))
    assert kept >= 1
    how: dict[str, Any] = {
        "num_samples": 60,
        "steps": 40,
        "batch_size": 4,
        "device": "cpu",
    }
    result = stir_hf.compare(*MODELS, str(IMAGES), out=tmp_path, progress=False, **how)
    assert [score.num_samples for score in result.scores] == [60, 60]
