"""What a request's process begins with: the libraries in memory, and the environment."""

import os
import runpy
import sys
from collections.abc import Iterator
from multiprocessing import forkserver
from typing import Any

import pytest

from stir_hf.space import work
from stir_hf.space.asked import LIMITS, Comparison
from tests.conftest import ROOT
from tests.space import at_work

HEAVY = ("transformers", "torch", "datasets", "stir_hf", "matplotlib", "scipy", "sympy", "PIL")
FAMILIES = ("resnet", "vit", "convnext", "deit", "swin", "beit", "dinov2", "efficientnet", "clip")
"""Some of those that are asked for most."""


def end() -> None:
    """End the server of processes, so that the next request starts one."""
    forkserver._forkserver._stop()  # type: ignore[attr-defined]  # not in typeshed
    work._processes.cache_clear()


@pytest.fixture(scope="module", autouse=True)
def a_server_of_its_own() -> Iterator[None]:
    """The server of a page that was started as `python app.py`, where torch may use two threads."""
    end()
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(work.WAITING, raising=False)
        patch.setenv("OMP_NUM_THREADS", "2")
        patch.setenv("OPENBLAS_NUM_THREADS", "1")
        yield
    end()


def done(function: Any) -> Any:
    """What a request finds."""
    request = Comparison("standard-0", "robust-0", images=16, steps=2)
    (*_, last) = work.run(function, request, LIMITS)
    return last["done"]


def test_a_comparison_imports_next_to_nothing() -> None:
    found = [name for name in done(at_work.late) if name.split(".")[0] in HEAVY]
    assert len(found) < 10, found


def test_the_usual_families_are_there() -> None:
    wanted = {f"transformers.models.{name}.modeling_{name}" for name in FAMILIES}
    assert wanted - {*done(at_work.state)["modules"]} == set()


def test_threads_that_wait_do_not_spin(monkeypatch: pytest.MonkeyPatch) -> None:
    assert done(at_work.state)["environment"][work.WAITING] == "PASSIVE"
    assert work.WAITING not in os.environ
    monkeypatch.setenv(work.WAITING, "ACTIVE")  # the owner's choice stays
    with work._environment():
        assert os.environ[work.WAITING] == "ACTIVE"
    assert os.environ[work.WAITING] == "ACTIVE"


@pytest.mark.skipif(sys.platform != "linux", reason="threads are read from /proc")
def test_the_server_has_one_thread() -> None:
    """Others are not there in a forked process, which would wait for them."""
    threads = done(at_work.state)["threads"]
    assert len([name for name in threads if name != "jemalloc_bg_thd"]) == 1, threads  # pyarrow's


def test_the_server_loads_the_libraries_while_the_page_loads_gradio(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun: list[bool] = []
    monkeypatch.setattr(work, "begin", lambda: begun.append(True))
    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.setenv("GRADIO_TEMP_DIR", "unused")
    with pytest.raises(ImportError, match="gradio"):
        runpy.run_path(str(ROOT / "spaces_demo" / "app.py"))["main"]()
    assert begun == [True]
