"""Where may be written, and what is read from there."""

import shutil
from pathlib import Path

import pytest

from tests.publish.clients import Worker, files_of
from tests.publish.conftest import QUICK
from tests.stand_in_hub import Fault, StandInHub


@pytest.mark.parametrize(
    ("token", "to", "told"),
    [
        (None, "lab/new", "needs a token: sign in with `hf auth login`"),
        ("hf_lab", "no-namespace", "is no repo id"),
        ("hf_lab", "a/b/c", "is no repo id"),
        ("hf_lab", "other/new", "the token is lab's and may not write there; use lab/new"),
        ("hf_wrong", "lab/new", "the Hub does not accept the token"),
    ],
)
def test_a_place_that_cannot_be_written_is_known_before_any_work(
    worker: Worker, tmp_path: Path, hub: StandInHub, token: str | None, to: str, told: str
) -> None:
    words = ("compare", "lab/standard-0", "lab/robust-0", "--dataset", "lab/images", *QUICK)
    out = tmp_path / "out"
    line = worker.by(token).refused(2, *words, "--out", out, "--push-to", to)
    assert told in line
    assert f"--push-to {to}" in line or f"--push-to {to!r}" in line
    assert not out.exists()


@pytest.mark.verify
def test_another_users_repo_takes_a_pull_request(
    worker: Worker, run: Path, hub: StandInHub
) -> None:
    hub.add("dataset", "other/theirs", {"README.md": b""})
    assert "--create-pr" in worker.refused(2, "push", run, "--to", "other/theirs")
    for changed in (True, False):
        found = worker.json("push", run, "--to", "other/theirs", "--create-pr")["pushed"][0]
        assert found["changed"] is changed
    assert len(hub.repo("dataset", "other/theirs").pulls) == 1
    assert found["url"].endswith("/discussions/1")


def test_what_a_repo_holds_instead_of_inversions_is_named(worker: Worker, hub: StandInHub) -> None:
    hub.add("dataset", "lab/empty", {".gitattributes": b""})
    hub.add("dataset", "lab/table", {"README.md": b"", "rows.csv": b"a\n1\n"})
    for repo, told in (("lab/empty", "it is empty"), ("lab/table", "it holds README.md, rows.csv")):
        line = worker.refused(2, "score", "lab/standard-0", "--inversions", repo)
        assert f"dataset {repo} holds no inversions; {told}" in line
    assert "holds no scores" in worker.refused(2, "leaderboard", "lab/table")


def test_a_set_that_the_card_does_not_list_is_absent(
    worker: Worker, run: Path, hub: StandInHub
) -> None:
    worker.done("push", run, "--to", "lab/half")
    files = {p: d for p, d in files_of(hub, "lab/half").items() if p != "README.md"}
    hub.add("dataset", "lab/unlisted", files)
    line = worker.refused(2, "score", "lab/robust-1", "--inversions", "lab/unlisted")
    assert "dataset lab/unlisted holds no inversions" in line


def test_a_push_that_fails_keeps_a_run_without_out(worker: Worker, hub: StandInHub) -> None:
    said = "You have no right to write here"
    hub.faults.append(Fault("POST", "/commit/", status=403, said=said))
    words = ("compare", "lab/standard-0", "lab/robust-0", "--dataset", "lab/images", *QUICK)
    line = worker.refused(1, *words, "--push-to", "lab/kept", "--private")
    assert "may not write to dataset lab/kept" in line
    command = line.partition("send it with `stir-hf ")[2].rstrip("`").split()
    assert command[-1] == "--private"
    worker.done(*command)
    assert worker.json("leaderboard", "lab/kept")["boards"]
    shutil.rmtree(command[1])
