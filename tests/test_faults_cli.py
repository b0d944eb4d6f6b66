"""Faults of the command line: threads, help, exit codes, options."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from stir_hf.cli import main
from stir_hf.demo import IMAGES, model_path
from tests.conftest import TinyModels
from tests.tiny import picture_folder

STANDARD, ROBUST = model_path("standard-0"), model_path("robust-0")


def run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = 0
    try:
        main(arguments)
    except SystemExit as stop:
        code = int(stop.code or 0)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


# C14: threads that wait passively


PEEK = """
import os, sys
class Peek:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print(os.environ.get("OMP_WAIT_POLICY"), flush=True)
            os._exit(0)
sys.meta_path.insert(0, Peek())
from stir_hf.cli import main
main(sys.argv[1:])
"""
"""Runs the command line up to the moment when torch is looked for."""


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(
            None,
            "PASSIVE",
        ),
        ("ACTIVE", "ACTIVE"),
    ],
)
def test_threads_wait_passively_unless_told_otherwise(given: str | None, expected: str) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
    environment |= {} if given is None else {"OMP_WAIT_POLICY": given}
    command = [sys.executable, "-c", PEEK, "layers", ROBUST]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [expected]


# The command line


def test_summaries_in_the_help_are_whole(capsys: pytest.CaptureFixture[str]) -> None:
    code, shown, _ = run(["--help"], capsys)
    assert code == 0
    commands = shown.partition("Commands:")[2]
    assert "compare" in commands
    assert "..." not in commands


def test_out_of_memory_ends_with_1(
    tiny_models: TinyModels,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(transformers.ViTForImageClassification, "forward", full)
    data = str(picture_folder(tmp_path / "data", 5, side=32))
    command = ["invert", tiny_models.vit, "--dataset", data, "--out", str(tmp_path / "out")]
    code, _, told = run(command, capsys)
    assert code == 1
    assert "--batch-size" in told


FLAGS = {
    "score": ["--num-samples", "--draws", "--set"],
    "invert": ["--tf32", "--no-tf32", "--constraint", "--name"],
    "matrix": ["--tf32", "--no-tf32", "--constraint"],
}


@pytest.mark.parametrize(
    ("command", "flag"), [(command, flag) for command in FLAGS for flag in FLAGS[command]]
)
def test_new_flags(command: str, flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, shown, _ = run([command, "--help"], capsys)
    assert code == 0
    assert re.search(rf"{flag}\b", shown)


def test_a_prefix_is_scored_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["invert", ROBUST, "--dataset", str(IMAGES), "--num-samples", "8", "--draws", "2"]
    assert run([*command, "--steps", "2", "--out", str(tmp_path)], capsys)[0] == 0
    command = ["score", STANDARD, "--inversions", str(tmp_path), "--num-samples", "5", "--json"]
    code, shown, told = run([*command, "--draws", "1"], capsys)
    assert code == 0, told
    assert json.loads(shown)["scores"][0]["num_samples"] == 5


def test_a_network_beside_itself_from_the_command_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["compare", ROBUST, ROBUST, "--dataset", str(IMAGES), "--num-samples", "5"]
    code, shown, told = run([*command, "--steps", "2"], capsys)
    assert code == 0, told
    assert re.search(r"Note: .*same", shown)
    assert ROBUST not in shown
