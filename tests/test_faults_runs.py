"""Faults around a run: folders, two processes, interruption, memory, results, the command line."""

import gc
import os
import signal
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from torch import nn

from stir_hf import Inversions, StirResult
from stir_hf.cli import main
from stir_hf.demo import IMAGES, model_path
from tests import warm
from tests.tiny import Net, compared, count_decodes, inverted, pictures, rows, sets

STANDARD, ROBUST = model_path("standard-0"), model_path("robust-0")


def run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = 0
    try:
        main(arguments)
    except SystemExit as stop:
        code = int(stop.code or 0)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def started(arguments: list[str]) -> warm.Process:
    """The command in a process of its own that heeds Ctrl-C, wherever the tests were started."""
    code = "import signal, stir_hf.cli; signal.signal(2, signal.default_int_handler);"
    words = ["-c", f"{code} stir_hf.cli.main()", *arguments]
    with open(os.devnull, "r+b") as null:
        at = null.fileno()
        return warm.start(words, {**os.environ, "OMP_NUM_THREADS": "1"}, at, at, at)


def wait_for(found: Callable[[], Any], process: warm.Process) -> None:
    while not found():
        assert process.poll() is None, "the run ended too early"
        time.sleep(0.02)


def invert_command(out: Path) -> list[str]:
    """Four batches of 40 passes each."""
    command = ["invert", ROBUST, "--dataset", str(IMAGES), "--num-samples", "8", "--out", str(out)]
    return [*command, "--method", "paper", "--steps", "40", "--batch-size", "2"]


def keys_on_disk(out: Path) -> list[tuple[int, int]]:
    return sorted((row["index"], row["draw"]) for row in rows(out))


# C1: two runs in one folder; interrupted runs


@pytest.mark.verify
def test_two_runs_in_one_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = invert_command(tmp_path)
    first = started(command)
    try:
        wait_for(lambda: sets(tmp_path), first)
        first.send_signal(signal.SIGSTOP)
        code, _, told = run(command, capsys)
        assert code == 2, told
        assert f"another run is writing in {tmp_path}" in told
        assert str(first.pid) in told
        first.send_signal(signal.SIGCONT)
        assert first.wait(60) == 0
    finally:
        first.kill()
        first.wait()
    keys = keys_on_disk(tmp_path)
    assert len(keys) == len(set(keys)) == 8
    assert run(command, capsys)[0] == 0


def test_an_interrupted_run_ends_with_130_and_continues(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = invert_command(tmp_path)
    first = started(command)
    try:
        wait_for(lambda: list(tmp_path.rglob("*.parquet")), first)
        first.send_signal(signal.SIGINT)
        assert first.wait(60) == 130
    finally:
        first.kill()
        first.wait()
    before = keys_on_disk(tmp_path)
    assert len(before) < 8
    assert run(["score", STANDARD, "--inversions", str(tmp_path)], capsys)[0] == 2
    assert run(command, capsys)[0] == 0
    after = keys_on_disk(tmp_path)
    assert len(after) == len(set(after)) == 8
    assert set(before) < set(after)


# C10: what is kept in memory, and how rows lie on disk


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of 10 images of 96 x 96."""
    out = tmp_path_factory.mktemp("large")
    network = nn.Sequential(nn.AvgPool2d(32), nn.Flatten())
    inverted(network, pictures(10, side=96), out, batch_size=4)
    return out


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with every file that is decoded."""
    return count_decodes(monkeypatch)


def test_numbers_decode_no_image(large: Path, decoded: list[int]) -> None:
    inversions = Inversions.load(large)
    assert (len(inversions), len(inversions.index), len(inversions.relative_error)) == (10, 10, 10)
    assert inversions.representation.shape == (10, 27)
    assert decoded == []


@pytest.mark.parametrize("column", ["image", "inverted"])
def test_one_image_decodes_one(column: str, large: Path, decoded: list[int]) -> None:
    inversions = Inversions.load(large)
    assert np.asarray(getattr(inversions, column)[3]).shape == (3, 96, 96)
    assert len(decoded) == 1


def test_all_images_are_an_array(large: Path) -> None:
    images = np.asarray(Inversions.load(large).image)
    assert images.shape == (10, 3, 96, 96)
    assert (images.min(), images.max()) == (0, 1)


def test_a_loaded_set_holds_no_images(large: Path) -> None:
    Inversions.load(large)  # imports
    gc.collect()
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    try:
        inversions = Inversions.load(large)
        assert len(inversions.index) == 10
        held = pa.total_allocated_bytes() - before + tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    on_disk = sum(path.stat().st_size for path in large.rglob("*.parquet"))
    assert on_disk > 400_000
    assert held < on_disk / 4


def test_a_finished_set_is_one_file_whatever_the_batches(tmp_path: Path) -> None:
    inverted(Net(), pictures(12), tmp_path, batch_size=2, draws=2)
    assert len(rows(tmp_path)) == 24
    assert len(list(tmp_path.rglob("*.parquet"))) == 1


# C11: temporary folders


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_temporary_folder_goes_with_its_set(temporary: Path) -> None:
    inversions = inverted(Net(), pictures(5))
    gc.collect()
    assert np.asarray(inversions.inverted).shape == (5, 3, 8, 8)
    del inversions
    gc.collect()
    assert list(temporary.iterdir()) == []


def test_a_comparison_leaves_nothing(temporary: Path) -> None:
    compared(Net(), Net(1), pictures(5))
    gc.collect()
    assert list(temporary.iterdir()) == []


# C13: a result in a notebook


@pytest.fixture(scope="module")
def result() -> StirResult:
    found: StirResult = compared(Net(), Net(1), pictures(5))
    return found


def shows(text: str, value: float | None) -> bool:
    """To two digits or more."""
    assert value is not None
    return any(f"{value:.{digits}f}" in text for digits in (2, 3, 4))


def test_a_result_is_shown_in_a_line_per_score(result: StirResult) -> None:
    lines = repr(result).splitlines()
    assert len(lines) == 2
    for line, score in zip(lines, result.scores, strict=True):
        assert score.model in line
        assert shows(line, score.stir)
        assert len(line) < 160


def test_a_result_is_a_table_in_a_notebook(result: StirResult) -> None:
    html = result._repr_html_()  # type: ignore[attr-defined, unused-ignore]
    assert "<table" in html
    assert html.count("<tr") >= 2
    assert all(shows(html, score.stir) for score in result.scores)


def test_a_plot_draws_into_axes_that_are_given(result: StirResult) -> None:
    from matplotlib.figure import Figure

    given = Figure().subplots()
    drawn = result.plot(ax=given)  # type: ignore[call-arg, unused-ignore]
    assert drawn is given
    assert given.images


def test_a_plot_makes_axes_of_its_own(result: StirResult) -> None:
    assert result.plot().images
