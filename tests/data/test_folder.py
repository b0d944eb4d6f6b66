"""The folder of a run: claimed by one run, sets found by their hash, temporary ones removed."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from stir_hf import RequestError
from stir_hf.data.sets.folder import OutputConfig, claimed, places, run_folder, sets_in
from stir_hf.data.sets.manifest import Manifest
from stir_hf.results import StirResult
from stir_hf.runtime import Processes
from tests.data.by_hand import CANVAS, NAMES, identity

ONE = Manifest(identity(CANVAS, 9), [1.0, 2.0], "ab", NAMES)
OTHER = replace(ONE, identity=identity(CANVAS, 9, seed=1))

HOLD = """
import sys, time
from pathlib import Path
from stir_hf.data.sets.folder import claimed
with claimed(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_run_is_refused_and_told_who_writes(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        said = rf"another run is writing in {tmp_path} \(pid {holder.pid}, "
        with pytest.raises(RequestError, match=said), claimed(tmp_path):
            pass
        holder.kill()
    with claimed(tmp_path):
        pass


def test_a_set_is_found_by_its_hash_whatever_its_folder_is_called(tmp_path: Path) -> None:
    wanted = {ONE.hash: ONE}
    assert places(tmp_path, wanted)[ONE.hash] == tmp_path / "inversions" / ONE.slug
    renamed = tmp_path / "inversions" / "renamed"
    ONE.write(renamed)
    assert sets_in(tmp_path) == {ONE.hash: renamed}
    assert places(tmp_path, wanted) == {ONE.hash: renamed}


def test_another_runs_sets_are_refused(tmp_path: Path) -> None:
    OTHER.write(tmp_path / "inversions" / OTHER.slug)
    with pytest.raises(RequestError, match="holds inversions of another run"):
        places(tmp_path, {ONE.hash: ONE})


def test_a_set_of_another_forward_pass_is_refused(tmp_path: Path) -> None:
    replace(ONE, probe=[3.0, 2.0]).write(tmp_path / "inversions" / ONE.slug)
    with pytest.raises(RequestError, match="same weights but different outputs"):
        places(tmp_path, {ONE.hash: ONE})


def test_a_result_of_another_run_is_left_alone(tmp_path: Path) -> None:
    StirResult((), {"hash": "one"}).save(tmp_path)
    with run_folder(tmp_path, "one", Processes("cpu")) as folder:
        assert folder == tmp_path
    with (
        pytest.raises(RequestError, match="is the result of another run"),
        run_folder(tmp_path, "other", Processes("cpu")),
    ):
        pass


def test_a_temporary_folder_goes_when_the_run_does(tmp_path: Path) -> None:
    with run_folder(None, "", Processes("cpu")) as folder:
        assert folder.is_dir()
    assert not folder.exists()
    with run_folder(None, "", Processes("cpu"), keep=True) as folder:
        pass
    assert folder.is_dir()
    folder.rmdir()
    with (
        pytest.raises(ZeroDivisionError),
        run_folder(None, "", Processes("cpu"), keep=True) as folder,
    ):
        raise ZeroDivisionError
    assert not folder.exists()


def test_names_of_local_folders() -> None:
    assert OutputConfig(name="mine").labels() == {"": "mine"}
    given = OutputConfig(name=("mine", "./data=lab/data"))
    assert given.labels("m", "data") == {"": "mine", "data": "lab/data"}
    assert OutputConfig().labels() == {}
