"""A push of what the Hub holds already: the repo is asked first, and nothing is exported."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.publish.clients import Worker, files_of
from tests.publish.conftest import QUICK
from tests.publish.test_publishing import spoil
from tests.stand_in_hub import StandInHub

COUNTING = """
import sys
from pathlib import Path
from stir_hf.errors import RequestError
from stir_hf.publish import ShareConfig, packing, push_folder

made = []

def counted(call):
    def wrapped(*args, **how):
        made.append(call.__name__)
        return call(*args, **how)
    return wrapped

packing.export, packing.pairs = counted(packing.export), counted(packing.pairs)
share = ShareConfig(without_images="without" in sys.argv)
try:
    print(push_folder(Path(sys.argv[1]), sys.argv[2], share).changed, *sorted(set(made)))
except RequestError as error:
    print("refused", *sorted(set(made)), error)
"""


@pytest.fixture
def made(worker: Worker, tmp_path: Path) -> Path:
    """The folder of one finished set."""
    words = ("invert", "lab/robust-0", "--dataset", "lab/images", *QUICK)
    worker.done(*words, "--out", tmp_path / "run")
    return tmp_path / "run"


def test_what_is_there_is_not_exported_again(worker: Worker, made: Path, hub: StandInHub) -> None:
    assert worker.python(COUNTING, str(made), "lab/again").split() == ["True", "export", "pairs"]
    before, commit = len(hub.seen), hub.repo("dataset", "lab/again").at("main").sha
    assert worker.python(COUNTING, str(made), "lab/again").split() == ["False"]
    assert hub.repo("dataset", "lab/again").at("main").sha == commit
    counts = hub.counts(before)
    assert sum(n for line, n in counts.items() if "/tree/" in line) == 1, counts
    writes = [line for line in counts if line.startswith("PUT") or "/commit/" in line]
    assert not writes, counts
    sources = ("GET /api/models/lab/robust-0", "GET /api/datasets/lab/images")
    assert [counts[line] for line in sources] == [1, 1], counts
    assert sum(n for line, n in counts.items() if ".parquet" in line) == 0, counts


@pytest.mark.verify
def test_what_is_changed_on_either_side_is_exported(
    worker: Worker, made: Path, hub: StandInHub, tmp_path: Path
) -> None:
    worker.done("push", made, "--to", "lab/either")
    (rows,) = [p for p in files_of(hub, "lab/either") if p.endswith(".parquet")]
    picture = next(p for p in files_of(hub, "lab/either") if p.startswith("figures/"))
    whole: dict[str, Any] = files_of(hub, "lab/either")
    for path in (rows, picture):
        hub.add("dataset", "lab/either", {path: b"\0 not what was sent"})
        told = worker.python(COUNTING, str(made), "lab/either").split()
        assert told == ["True", "export", "pairs"], path
        assert files_of(hub, "lab/either") == whole
    line = worker.python(COUNTING, str(made), "lab/either", "without")
    assert line.startswith(("True export", "refused export"))
    shutil.copytree(made, tmp_path / "other")
    (copy,) = (tmp_path / "other" / "inversions").iterdir()
    spoil(copy)
    assert worker.python(COUNTING, str(tmp_path / "other"), "lab/either").split()[1] == "export"
