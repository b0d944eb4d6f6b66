"""Requests on ZeroGPU, with a stand-in for `spaces`, which lends nothing."""

import os
import sys
import types
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

import stir_hf
from stir_hf.space import handlers, jobs, zero_gpu
from stir_hf.space.asked import LIMITS, Comparison, Judging
from stir_hf.space.work import ONE_AT_A_TIME


@pytest.fixture(autouse=True)
def on_zero_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    lends = types.SimpleNamespace(GPU=lambda **_: lambda function: function)
    monkeypatch.setitem(sys.modules, "spaces", lends)
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    monkeypatch.setenv("HF_TOKEN", "of the Space")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_XET_CACHE", str(tmp_path / "xet"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "data"))
    (tmp_path / "hub").mkdir()
    zero_gpu.lent.cache_clear()
    yield
    with ONE_AT_A_TIME:
        assert not (tmp_path / "hub").exists()
    zero_gpu.lent.cache_clear()


def work_of(request: Any, folder: Path, send: Any) -> None:
    assert "HF_TOKEN" not in os.environ
    assert folder.is_dir()
    if request == "refused":
        raise stir_hf.RequestError("it is wrong")
    if request == "failed":
        raise ZeroDivisionError("no detail of this is shown")
    send({"done": {"result": 1}})


@pytest.mark.parametrize(
    ("request_", "error", "words"),
    [
        ("refused", stir_hf.RequestError, "it is wrong"),
        ("failed", stir_hf.RunError, "it failed inside"),
    ],
)
def test_a_request_that_ends_in_an_error(
    request_: str, error: type, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("traceback.print_exc", lambda: None)  # into the owner's log
    with pytest.raises(error, match=words):
        list(handlers.follow(work_of, request_, LIMITS))


def test_a_request_to_its_end() -> None:
    assert list(handlers.follow(work_of, "done", LIMITS))[-1] == (None, {"result": 1})


def test_a_visitor_without_a_share_of_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> Any:
        yield {"step": {}}
        raise gr.Error("<b>You have</b> no share<br>left")

    with monkeypatch.context() as patched:
        patched.setattr(zero_gpu, "lent", lambda: refused)
        patched.setattr("stir_hf.report.page.progress", lambda *_: "")
        with pytest.raises(stir_hf.RunError, match=r"^You have no share left$"):
            list(handlers.follow(work_of, "done", LIMITS))


def test_a_comparison_shows_how_far_it_is_and_ends_when_nobody_waits() -> None:
    request = Comparison("standard-0", "robust-0", images=64, steps=300)
    found: Any = handlers.follow(jobs.compare, request, LIMITS)
    assert any("inversion in the making" in (html or "") for html, _ in found)
    found.close()  # at once; the work ends at its next word


def test_how_long_a_device_is_asked_for(tmp_path: Path) -> None:
    def asked(images: int, steps: int) -> int:
        request = Comparison("standard-0", "robust-0", images=images, steps=steps)
        return zero_gpu.seconds(jobs.compare, request, tmp_path)

    (tmp_path / "hub").rmdir()
    assert zero_gpu.seconds(jobs.judge, Judging("lab/made", "standard-0"), tmp_path) == 60
    assert asked(4, 1) == 30
    assert 30 < asked(24, 100) < 60
    assert asked(64, 300) == 120


@pytest.mark.parametrize("given", ["", "0", "false"])
def test_what_is_no_zero_gpu(given: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "hub").rmdir()
    monkeypatch.setenv("SPACES_ZERO_GPU", given)
    assert zero_gpu.runner().__name__ == "Run"
