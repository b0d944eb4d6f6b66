"""Cards as pushes leave them on the stand-in Hub."""

from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # has none
from huggingface_hub import DatasetCard

from stir_hf.publish.spaces.requirement import EXAMPLE
from tests.publish.clients import Worker, files_of
from tests.publish.conftest import QUICK
from tests.stand_in_hub import Fault, StandInHub

PLACE = "stir-hf @ git+https://example.org/lab/stir-hf@0123456789abcdef0123456789abcdef01234567"
NO_CLONE = {"GIT_DIR": "/nowhere"}
"""Environment in which git knows nothing of this checkout, so that its place is not known."""
THREE = ("lab/standard-0", "lab/robust-0", "lab/robust-1")


@pytest.fixture(scope="module")
def matrix(worker: Worker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a `matrix` of three checkpoints."""
    folder = tmp_path_factory.mktemp("matrix") / "out"
    worker.done("matrix", *THREE, "--dataset", "lab/images", *QUICK, "--out", folder)
    return folder


def card_of(hub: StandInHub, repo: str) -> str:
    return files_of(hub, repo)["README.md"].decode()


def table_rows(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("| [lab/")]


def test_a_stranger_proposes_a_score_and_nothing_else(
    worker: Worker, run: Path, hub: StandInHub
) -> None:
    worker.done("push", run, "--to", "lab/judged")
    before, repo = files_of(hub, "lab/judged"), hub.repo("dataset", "lab/judged")
    words = ("score", "lab/robust-1", "--inversions", "lab/judged", "--push-to", "lab/judged")
    stranger = worker.by("hf_other")
    assert "--create-pr" in stranger.refused(2, *words)
    stranger.done(*words, "--create-pr")
    (pull,) = repo.pulls
    new = set(repo.at("refs/pr/1").files) - set(before)
    assert len(new) == 2
    assert all(path.startswith("scores/") for path in new)
    changed = [p for p, blob in repo.at("refs/pr/1").files.items() if before.get(p) != blob.data]
    assert set(changed) == new
    assert files_of(hub, "lab/judged") == before
    hub.add("dataset", "lab/judged", {path: pull.files[path].data for path in new})
    worker.done("push", run, "--to", "lab/judged")
    assert len(table_rows(card_of(hub, "lab/judged"))) == 4
    assert worker.json("push", run, "--to", "lab/judged")["pushed"][0]["changed"] is False


def test_a_card_shows_every_score_and_the_heat_map(
    worker: Worker, matrix: Path, hub: StandInHub
) -> None:
    hub.seen.clear()
    worker.done("push", matrix, "--to", "lab/whole-matrix")
    assert not [line for line in hub.seen if "/resolve/" in line and "/scores/" in line]
    text = card_of(hub, "lab/whole-matrix")
    assert len(table_rows(text)) == 6
    (picture,) = [p for p in files_of(hub, "lab/whole-matrix") if p.endswith("-matrix.png")]
    assert f"]({picture})" in text
    assert worker.json("push", matrix, "--to", "lab/whole-matrix")["pushed"][0]["changed"] is False


@pytest.mark.verify
def test_a_repo_of_scores_gets_the_other_card_with_its_first_set(
    worker: Worker, matrix: Path, run: Path, hub: StandInHub
) -> None:
    worker.done("push", matrix, "--to", "lab/grows", "--scores-only")
    text = card_of(hub, "lab/grows")
    assert "Scores on images" in text
    assert "Inversions of images" not in text
    assert len(table_rows(text)) == 6
    again = worker.json("push", matrix, "--to", "lab/grows", "--scores-only")
    assert again["pushed"][0]["changed"] is False
    worker.done("push", run, "--to", "lab/grows")
    text = card_of(hub, "lab/grows")
    data: Any = DatasetCard(text).data
    assert "Inversions of images" in data.get("pretty_name")
    assert len(data.get("configs")) == 3
    assert len(table_rows(text)) == 6


@pytest.mark.verify
def test_a_repo_of_scores_says_where_the_inversions_are_if_they_are_public(
    worker: Worker, run: Path, hub: StandInHub, tmp_path: Path
) -> None:
    for name, how in (("open", "--public"), ("closed", "--private")):
        worker.done("push", run, "--to", f"lab/sets-{name}", how)
        out, to = tmp_path / name, f"lab/scores-{name}"
        worker.done("score", "lab/robust-1", "--inversions", f"lab/sets-{name}", "--out", out)
        worker.done("push", out, "--to", to, "--scores-only")
        assert (
            worker.json("push", out, "--to", to, "--scores-only")["pushed"][0]["changed"] is False
        )
    text = card_of(hub, "lab/scores-open")
    link = "[lab/sets-open](https://huggingface.co/datasets/lab/sets-open)"
    assert f"The inversions are in {link}.\n" in text
    assert "--inversions lab/sets-open --push-to lab/scores-open --create-pr" in text
    assert not [p for p, d in files_of(hub, "lab/scores-closed").items() if b"sets-closed" in d]
    worker.done("push", tmp_path / "closed", "--to", "lab/scores-open", "--scores-only")
    assert link in card_of(hub, "lab/scores-open")


def test_a_score_of_others_that_cannot_be_read_is_left_out_and_named(
    worker: Worker, run: Path, hub: StandInHub
) -> None:
    worker.done("push", run, "--to", "lab/spoilt")
    bad = {"scores/0000000000000000.parquet": b"<html>", "scores/x.parquet": b"PAR1"}
    hub.add("dataset", "lab/spoilt", {**bad, "scores/deep/x.parquet": b"no score"})
    found = worker.run("push", run, "--to", "lab/spoilt")
    assert found.returncode == 0, found.stderr
    for path in bad:
        named = f"left out of the card: {path} of dataset lab/spoilt cannot be used: "
        assert named in found.stderr
    assert "deep" not in found.stderr
    assert len(table_rows(card_of(hub, "lab/spoilt"))) == 2


@pytest.mark.verify
def test_a_file_is_named_once_however_often_a_push_is_tried(
    worker: Worker, run: Path, hub: StandInHub
) -> None:
    hub.add("dataset", "lab/busy", {"README.md": b"", "scores/x.parquet": b"PAR1"})
    hub.faults.extend([Fault("POST", "/commit/", status=503)] * 2)
    found = worker.run("push", run, "--to", "lab/busy", **NO_CLONE)
    assert found.returncode == 0, found.stderr
    assert found.stderr.count("left out of the card: scores/x.parquet") == 1
    assert found.stderr.count("--package") == 1


@pytest.mark.verify
def test_a_card_says_where_the_package_is_had(worker: Worker, run: Path, hub: StandInHub) -> None:
    told = worker.run("push", run, "--to", "lab/placed", **NO_CLONE).stderr
    assert f"push again with --package '{EXAMPLE}'" in told
    assert "ask the owner of this repo" in card_of(hub, "lab/placed")
    told = worker.run("push", run, "--to", "lab/placed", "--package", PLACE).stderr
    assert "--package" not in told
    assert f'pip install "{PLACE}"' in card_of(hub, "lab/placed")
    assert worker.json("push", run, "--to", "lab/placed")["pushed"][0]["changed"] is False
    for wrong in ("stir-hf", "numpy @ https://example.org/n.whl", "!"):
        assert "--package" in worker.refused(2, "push", run, "--to", "lab/x", "--package", wrong)


def test_a_card_that_is_no_text_is_told(worker: Worker, run: Path, hub: StandInHub) -> None:
    hub.add("dataset", "lab/binary", {"README.md": b"\xff\xfe\x00"})
    line = worker.refused(2, "push", run, "--to", "lab/binary")
    assert "README.md of dataset lab/binary at " in line
    assert "is no UTF-8 text" in line


def test_results_in_a_models_repo_say_commit_framework_and_user(
    worker: Worker, run: Path, hub: StandInHub
) -> None:
    words = ("push", run, "--to", "lab/framed", "--eval-results")
    worker.done(*words)
    made = hub.repo("dataset", "lab/framed").at("main").sha
    repo, number = hub.repo("model", "lab/standard-0"), 1
    while "lab/framed" not in repo.pulls[number - 1].title:
        number += 1
    (path,) = [p for p in repo.at(f"refs/pr/{number}").files if p.startswith(".eval_results/")]
    (entry,) = yaml.safe_load(repo.at(f"refs/pr/{number}").files[path].data)
    assert entry["dataset"]["revision"] == made
    assert entry["source"]["user"] == "lab"
    assert "; framework=stir-hf 0." in entry["notes"]
    hub.add("dataset", "lab/framed", {"more.txt": b"1"})
    again = worker.json(*words)["pushed"]
    assert [one["changed"] for one in again] == [False, False, False]


@pytest.mark.verify
def test_a_card_with_the_mark_of_an_editor_before_it_is_the_same_card(
    worker: Worker, run: Path, hub: StandInHub
) -> None:
    worker.done("push", run, "--to", "lab/edited")
    before = files_of(hub, "lab/edited")["README.md"]
    hub.add("dataset", "lab/edited", {"README.md": b"\xef\xbb\xbf" + before})
    words = ("score", "lab/robust-1", "--inversions", "lab/edited", "--push-to", "lab/edited")
    worker.done(*words)
    text = card_of(hub, "lab/edited")
    assert text.startswith("---\n")
    data: Any = DatasetCard(text).data
    assert len(data.get("configs")) == 3
    assert len(table_rows(text)) == 4
