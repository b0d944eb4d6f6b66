"""What is above the limit of one commit."""

import io
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.publish.clients import Worker, files_of
from tests.stand_in_hub import StandInHub

PUSH_LARGE = """
import sys
from pathlib import Path
from stir_hf.publish import ShareConfig, push_folder, repo
repo.MOST_BYTES, repo.MOST_FILES = 1000, 20
print(push_folder(Path(sys.argv[1]), sys.argv[2], ShareConfig()))
"""


@pytest.mark.verify
def test_a_large_push_goes_ahead_in_batches_and_counts_at_the_end(
    worker: Worker, run: Path, hub: StandInHub, tmp_path: Path
) -> None:
    worker.python(PUSH_LARGE, str(run), "lab/large")
    commits = hub.repo("dataset", "lab/large").commits()
    assert len(commits) == 3  # initial, data, card
    assert "README.md" not in commits[1].files
    assert any("data-" in path for path in commits[1].files)
    assert worker.json("score", "lab/robust-1", "--inversions", "lab/large")["scores"]


@pytest.mark.verify
def test_a_large_extension_replaces_what_it_holds(
    worker: Worker, hub: StandInHub, tmp_path: Path
) -> None:
    words = ("invert", "lab/robust-1", "--dataset", "lab/images", "--steps", 3, "--out", tmp_path)
    for count in (5, 9):
        worker.done(*words, "--num-samples", count)
        worker.python(PUSH_LARGE, str(tmp_path), "lab/large-extension")
    files = files_of(hub, "lab/large-extension")
    rows = [
        key
        for path, data in files.items()
        if "/data-" in path
        for key in pq.read_table(io.BytesIO(data), columns=["index"])["index"].to_pylist()
    ]
    assert len(rows) == len(set(rows)) == 9


@pytest.mark.verify
def test_what_an_interrupted_large_push_left_is_no_part_of_the_set(
    worker: Worker, run: Path, hub: StandInHub
) -> None:
    worker.done("push", run, "--to", "lab/before")
    part = {p: d for p, d in files_of(hub, "lab/before").items() if "/data-" in p}
    stray = {f"{p.partition('/')[0]}/data-0123456789abcdef.parquet": d for p, d in part.items()}
    hub.add("dataset", "lab/strays", {"README.md": b"", **stray})
    worker.done("push", run, "--to", "lab/strays")
    assert not [p for p in files_of(hub, "lab/strays") if p in stray]


@pytest.mark.verify
def test_a_large_proposal_is_one_pull_request(worker: Worker, run: Path, hub: StandInHub) -> None:
    hub.add("dataset", "other/large", {"README.md": b""})
    code = PUSH_LARGE.replace("ShareConfig()", "ShareConfig(create_pr=True)")
    worker.python(code, str(run), "other/large")
    worker.python(code, str(run), "other/large")
    repo = hub.repo("dataset", "other/large")
    assert len(repo.pulls) == 1
    assert "eval.yaml" in repo.at("refs/pr/1").files
