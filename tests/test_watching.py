"""Who is told of a run's steps instead of a bar, and ends it."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stir_hf
from stir_hf import Step
from tests.conftest import ROOT
from tests.tiny import Net, noise_images, rows


def test_steps_tell_how_far_a_run_is() -> None:
    seen: list[Step] = []
    pictures: list[dict[int, np.ndarray]] = []

    def watch(step: Step) -> None:
        seen.append(step)
        if step.in_progress is not None:
            pictures.append({i: values.copy() for i, values in step.in_progress().items()})

    result = stir_hf.compare(
        Net(0), Net(1), noise_images(6), steps=30, batch_size=4, progress=watch
    )
    assert result.scores[0].num_samples == 6
    assert {step.what for step in seen} == {
        "inverting Net-1",
        "inverting Net-2",
        "judging Net-1",
        "judging Net-2",
    }
    inverting = [step for step in seen if step.what.startswith("inverting")]
    assert (inverting[0].done, inverting[0].total) == (0, 12)
    assert [s.passes for s in inverting] == sorted(s.passes for s in inverting)
    assert max(step.done for step in inverting) == 12
    assert all(step.error >= 0 for step in inverting if step.error is not None)
    assert set().union(*pictures) == set(range(6))
    assert all(v.shape == (3, 8, 8) for some in pictures for v in some.values())
    assert all(v.min() >= 0 and v.max() <= 1 for some in pictures for v in some.values())


class Cancelled(Exception):  # noqa: N818 - no error
    pass


def test_whoever_watches_can_end_it_and_what_is_finished_stays(tmp_path: Path) -> None:
    def watch(step: Step) -> None:
        if step.done >= 4:
            raise Cancelled

    how: Any = {"steps": 5, "batch_size": 2, "out": tmp_path}
    with pytest.raises(Cancelled):
        stir_hf.invert(Net(), noise_images(12), progress=watch, **how)
    assert 4 <= len(rows(tmp_path)) < 12
    whole = stir_hf.invert(Net(), noise_images(12), progress=False, **how)
    assert whole.index.tolist() == list(range(12))


def test_the_example_of_the_documentation_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(), re.S)
    monkeypatch.chdir(tmp_path)
    ran: dict[str, Any] = {}
    exec(block, ran)
    assert len(ran["inversions"]) == 16
    assert [v.shape for v in ran["pictures"].values()] == [(1, 28, 28)] * 8
    assert "robust-0: 8 of 16, error" in capsys.readouterr().out
