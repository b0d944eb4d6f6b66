"""`kill -9` at many points of a run with two processes: nothing that was written is lost, and the
same command gives the score of a run that was left alone.

The points are calls within the run, each made to wait there until the process has been killed. The
figures are kept in benchmarks/results/kills.json.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from stir_hf.demo import IMAGES, model_path
from tests.conftest import ROOT
from tests.processes.ranks import Ranks
from tests.processes.test_launching import ranks_of

RESULTS = ROOT / "benchmarks" / "results" / "kills.json"
WORDS = ["compare", model_path("standard-0"), model_path("robust-0"), "--dataset", str(IMAGES)]
WORDS += ["--num-samples", "24", "--steps", "8", "--batch-size", "4", "--device", "cpu", "--json"]
WORDS += ["--num-processes", "2", "--out"]

STOPPED = """
import os, sys, time
from importlib import import_module
module, name, rank, call, marker = os.environ["STOP_AT"].split("|")
if os.environ.get("RANK") == rank:
    owner = import_module(module)
    *above, last = name.split(".")
    for part in above:
        owner = getattr(owner, part)
    inner, calls = getattr(owner, last), [0]
    def stops(*args, **kwargs):
        calls[0] += 1
        if calls[0] == int(call):
            open(marker, "w").close()
            time.sleep(600)
        return inner(*args, **kwargs)
    setattr(owner, last, stops)
from stir_hf.cli import main
main(sys.argv[1:])
"""
POINTS: list[tuple[str, str, int, int]] = [
    # module, name, rank, which call
    ("stir_hf.preparation", "as_encoders", 0, 1),
    ("stir_hf.preparation", "as_encoders", 1, 1),
    ("stir_hf.preparation", "open_samples", 1, 1),
    ("stir_hf.job.inversion", "InversionJob.todo", 0, 1),
    ("stir_hf.job.inversion", "InversionJob.todo", 0, 2),
    ("stir_hf.data.sets.manifest", "Manifest.write", 0, 1),
    ("stir_hf.job.making", "Making.run", 0, 1),
    ("stir_hf.job.making", "Making.run", 1, 1),
    ("stir_hf.engine.loop", "_pass", 0, 1),
    ("stir_hf.engine.loop", "_pass", 1, 3),
    ("stir_hf.engine.loop", "_pass", 1, 12),
    ("stir_hf.data.files.shards", "append", 0, 1),
    ("stir_hf.data.files.shards", "append", 1, 1),
    ("stir_hf.data.files.shards", "append", 0, 3),
    ("stir_hf.data.files.shards", "NewFile.__exit__", 0, 1),
    ("stir_hf.data.files.shards", "NewFile.__exit__", 1, 2),
    ("stir_hf.job.making", "Making.run", 0, 2),
    ("stir_hf.job.making", "Making.run", 1, 2),
    ("stir_hf.job.inversion", "InversionJob.finish", 0, 1),
    ("stir_hf.data.files.shards", "_write_shard", 0, 1),
    ("stir_hf.data.files.shards", "_write_shard", 0, 2),
    ("stir_hf.data.sets.manifest", "Manifest.finished", 0, 1),
    ("stir_hf.data.sets.manifest", "Manifest.finished", 0, 2),
    ("stir_hf.scoring.judging", "accumulate", 0, 1),
    ("stir_hf.scoring.judging", "accumulate", 1, 2),
    ("stir_hf.scoring.representations", "_pairs", 1, 1),
    ("stir_hf.api", "keep", 0, 1),
    ("stir_hf.results", "StirResult.save", 0, 1),
]


def begun(out: Path, stop: str) -> "subprocess.Popen[str]":
    env = {k: v for k, v in os.environ.items() if k not in ("WORLD_SIZE", "RANK")}
    env |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "stir_hf", *WORDS, str(out)]
    if stop:
        env["STOP_AT"] = stop
        # the launcher starts `python -m stir_hf` again; these stand in for it
        command = [sys.executable, str(out.parent / "launched.py"), *WORDS, str(out)]
    return subprocess.Popen(
        command, env=env, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def rows_of(out: Path) -> set[tuple[str, int]]:
    found = set()
    for path in out.glob("inversions/*/*.parquet"):
        index = pq.read_table(path, columns=["index"])["index"].to_pylist()
        found |= {(path.parent.name, i) for i in index}
    return found


@pytest.fixture(scope="module")
def alone(one: Ranks, tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    """The scores of a run of one process that nobody kills."""
    code = (
        "import stir_hf\n"
        "r = stir_hf.compare(*models, data, num_samples=24, steps=8, batch_size=4, out=out)\n"
        "found = [s.stir for s in r.scores]\n"
    )
    out = str(tmp_path_factory.mktemp("alone"))
    (found,) = one.run(code, models=[WORDS[1], WORDS[2]], data=str(IMAGES), out=out)
    return list(found)


def killed(tmp_path: Path, point: tuple[str, str, int, int]) -> dict[str, Any]:
    """Kill one process at a point; what was there, and what came of it."""
    module, name, rank, call = point
    marker, out = tmp_path / "there", tmp_path / "out"
    (tmp_path / "stopped.py").write_text(STOPPED)
    (tmp_path / "launched.py").write_text(
        "import sys\n"
        "from stir_hf.runtime import launching\n"
        "whole = launching.elastic_launch\n"
        "def launch(config, entrypoint):\n"
        "    started = whole(config, entrypoint)\n"
        f"    return lambda *words: started({str(tmp_path / 'stopped.py')!r}, *words[2:])\n"
        "launching.elastic_launch = launch\n"
        "from stir_hf.cli import main\n"
        "main(sys.argv[1:])\n"
    )
    process = begun(out, f"{module}|{name}|{rank}|{call}|{marker}")
    for _ in range(1200):
        if marker.exists() or process.poll() is not None:
            break
        time.sleep(0.1)
    assert marker.exists(), process.communicate()[1][-2000:]
    there = rows_of(out)
    begin = time.monotonic()
    ranks_of(process)[rank].send_signal(signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    seconds = time.monotonic() - begin
    return {
        "code": process.returncode,
        "line": err.strip().splitlines()[-1],
        "seconds": round(seconds, 1),
        "rows_before": len(there),
        "lost": len(there - rows_of(out)),
    }


def check(tmp_path: Path, alone: list[float], point: tuple[str, str, int, int]) -> dict[str, Any]:
    found = killed(tmp_path, point)
    assert found["code"] == 1
    assert f"process {point[2]} was ended by SIGKILL" in found["line"]
    assert found["seconds"] < 30
    assert found["lost"] == 0
    process = begun(tmp_path / "out", "")
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert [s["stir"] for s in json.loads(out)["scores"]] == pytest.approx(alone, abs=1e-5)
    assert len(rows_of(tmp_path / "out")) == 48
    return found


@pytest.mark.verify
@pytest.mark.parametrize("point", POINTS, ids=lambda p: f"{p[1]}-{p[2]}-{p[3]}")
def test_every_point(tmp_path: Path, alone: list[float], point: tuple[str, str, int, int]) -> None:
    found = check(tmp_path, alone, point)
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    kept["{}.{}, process {}, call {}".format(*point)] = found
    RESULTS.write_text(json.dumps(kept, indent=1) + "\n")
