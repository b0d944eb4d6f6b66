"""How a set of a stranger is read, and refused."""

import tracemalloc
from pathlib import Path

import pyarrow as pa
import pytest

from stir_hf import Inversions, RequestError
from stir_hf.data.files.broken import BrokenError
from tests.tiny import Net, inverted, judged, noise_images

CALLED = f"set S of dataset lab/d at {'0' * 40}"
MOST = 64 << 20
"""Bytes that a refusal may take."""


@pytest.fixture(scope="module", name="whole")
def whole_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of six images, two draws each, as the engine makes it."""
    out = tmp_path_factory.mktemp("whole")
    return inverted(Net(), noise_images(6), out, draws=2, tolerance=0.5, steps=4).path


def read(folder: Path) -> None:
    """Read a set of a stranger, as `score` does."""
    judged(Net(1), Inversions.read(folder, called=CALLED))


def refused(folder: Path, said: str) -> None:
    tracemalloc.start()
    pool = pa.system_memory_pool()
    try:
        with pytest.raises(BrokenError) as told:
            read(folder)
        assert tracemalloc.get_traced_memory()[1] < MOST
    finally:
        tracemalloc.stop()
    assert pool.max_memory() < MOST
    assert isinstance(told.value, RequestError)  # exit code 2
    text = str(told.value)
    assert text.startswith(f"{CALLED} is broken: ")
    assert "\n" not in text
    assert said in text
    assert len(text) < 600
