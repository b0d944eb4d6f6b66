"""Variables of launchers that have started nothing: ignored, alone and in pairs; a launch is what
names a rank, a size and a place to meet.
"""

import json
import os
import subprocess
from itertools import combinations

import pytest

from stir_hf.demo import model_path
from stir_hf.errors import RequestError
from stir_hf.launched import KINDS, Kind, Launch, launch_of_this, leftovers, main_process
from tests import warm
from tests.conftest import ROOT

NAMES = [name for kind in KINDS for name in (kind.rank, kind.size, *kind.local)]
VARIABLES = [*NAMES, "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID"]
VALUES = {name: "2" if "SIZE" in name or name.endswith("RANKS") else "1" for name in NAMES}
VALUES |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29511", "TORCHELASTIC_RUN_ID": "none"}
WHOLE = [{kind.rank, kind.size} for kind in KINDS]


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def run(words: list[str], seconds: float, **env: str) -> "subprocess.CompletedProcess[str]":
    kept = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    return warm.run(words, {**kept, **env}, seconds)


ALONE = """
import json, os, sys
from accelerate import PartialState
from stir_hf.errors import RequestError
from stir_hf.launched import main_process
from stir_hf.runtime import Processes
found = []
for env in json.loads(sys.argv[1]):
    PartialState._reset_state()
    os.environ.update(env)
    before = dict(os.environ)
    try:
        made = Processes("cpu")
        found.append([made.count, made.rank, made.main, main_process(), dict(os.environ) == before])
    except RequestError as error:
        found.append(str(error))
    for name in env:
        os.environ.pop(name, None)
print(json.dumps(found))
"""


def test_each_alone_and_in_pairs_starts_one_process_or_is_a_line() -> None:
    sets = [{name} for name in VARIABLES] + [set(two) for two in combinations(VARIABLES, 2)]
    asked = [{name: VALUES[name] for name in names} for names in sets]
    done = run(["-c", ALONE, json.dumps(asked)], 120)
    assert done.returncode == 0, done.stderr
    for names, found in zip(sets, json.loads(done.stdout.splitlines()[-1]), strict=True):
        if names in WHOLE:
            assert "MASTER_ADDR, where they meet, is not set" in found, names
        else:
            assert found == [1, 0, True, True, True], names


@pytest.mark.verify
def test_the_command_prints_with_them_and_says_so() -> None:
    words = ["-m", "stir_hf", "compare", model_path("standard-0"), model_path("robust-0")]
    words += ["--dataset", "stir_hf/demo/images", "--num-samples", "6", "--steps", "2", "--json"]
    env = {"RANK": "1", "LOCAL_RANK": "1", "OMPI_COMM_WORLD_SIZE": "4", "MASTER_ADDR": "node7"}
    done = run([*words, "--device", "cpu"], 300, **env)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["environment"]["num_processes"] == 1
    assert "are ignored: RANK=1, LOCAL_RANK=1, OMPI_COMM_WORLD_SIZE=4" in done.stderr


def test_what_fails_is_told_whatever_the_rank() -> None:
    for env in ({"RANK": "3"}, {"LOCAL_RANK": "1", "RANK": "1"}):
        done = run(["-m", "stir_hf", "layers", "./nowhere"], 120, **env)
        assert done.returncode == 2
        assert "stir-hf: " in done.stderr


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.rank)
def test_a_rank_a_size_and_a_place_are_a_launch(
    monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    assert launch_of_this() is None
    monkeypatch.setenv(kind.rank, "1")
    monkeypatch.setenv(kind.size, "2")
    with pytest.raises(RequestError, match=f"{kind.rank}=1 and {kind.size}=2"):
        leftovers()
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    assert launch_of_this() == Launch(1, 2)
    assert not main_process()
    assert leftovers() == {}


@pytest.mark.parametrize(
    ("rank", "size"), [("2", "2"), ("-1", "2"), ("x", "2"), ("0", ""), ("0", "0")]
)
def test_numbers_that_no_launcher_sets_are_no_launch(
    monkeypatch: pytest.MonkeyPatch, rank: str, size: str
) -> None:
    given = {"RANK": rank, "WORLD_SIZE": size}
    for name, value in {**given, "MASTER_ADDR": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)
    assert launch_of_this() is None
    assert main_process()
    assert leftovers() == given


def test_the_first_kind_counts_that_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where torchrun is started within an allocation of MPI."""
    values = {"PMI_RANK": "0", "PMI_SIZE": "1", "RANK": "1", "WORLD_SIZE": "3", "MASTER_ADDR": "a"}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    assert launch_of_this() == Launch(1, 3)
    monkeypatch.delenv("WORLD_SIZE")
    assert launch_of_this() == Launch(0, 1)


@pytest.mark.verify
def test_a_launch_that_never_comes_is_told() -> None:
    """All variables of an earlier launch: what waits says for whom."""
    env = {name: VALUES[name] for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")}
    env |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29517", "RANK": "0", "LOCAL_RANK": "0"}
    code = (
        "import logging, os, threading; logging.basicConfig()\n"
        "from stir_hf.runtime import joining, Processes\n"
        "joining.WAITING = 0.5\n"
        "threading.Timer(2, os._exit, (7,)).start()\n"
        "Processes('cpu')"
    )
    done = run(["-c", code], 120, **env)
    assert done.returncode == 7
    assert "process 0 is waiting for the others of 2 processes in the environment" in done.stderr


def test_the_commands_ask_one_place() -> None:
    """No other file reads these variables."""
    names = ('"RANK"', '"WORLD_SIZE"', '"LOCAL_RANK"')
    files = (ROOT / "stir_hf").rglob("*.py")
    readers = {f.name for f in files if any(name in f.read_text("utf-8") for name in names)}
    assert readers == {"launched.py"}
