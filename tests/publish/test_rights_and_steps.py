"""Rights that a token lacks, repos that were renamed, and pushes that are done in part."""

import shutil
from pathlib import Path

import pytest

from stir_hf.demo import IMAGES
from tests import warm
from tests.publish.clients import Client, Worker, files_of
from tests.stand_in_hub import Fault, StandInHub

READS = {"displayName": "laptop", "role": "read"}


def fine(name: str, *permissions: str) -> dict[str, object]:
    """What `whoami` says of a fine-grained token with these rights to one entity."""
    entity = {"_id": "0", "type": "org", "name": name}
    scoped = [{"entity": entity, "permissions": list(permissions)}]
    rights = {"canReadGatedRepos": False, "global": ["discussion.write"], "scoped": scoped}
    return {"displayName": "ci", "role": "fineGrained", "fineGrained": rights}


LACKING = {
    "reads": (READS, "the token laptop only reads"),
    "fine-grained, reads": (fine("lab", "repo.content.read"), "the token ci is fine-grained"),
    "fine-grained, elsewhere": (fine("other", "repo.write"), "without the right to write to"),
}
ENOUGH = {
    "namespace": fine("lab", "repo.content.read", "repo.write"),
    "repo": fine("lab/fine-repo", "repo.write"),
    "not told": {"role": "fineGrained"},
    "contributor": {"role": "contributor"},
}


@pytest.fixture
def rights(hub: StandInHub) -> object:
    yield hub.tokens
    hub.tokens.clear()


def commands(run: Path) -> list[tuple[object, ...]]:
    compare = ("compare", "lab/standard-0", "lab/robust-0", "--dataset", "lab/images")
    return [
        ("push", run, "--to", "lab/rights"),
        ("push", run, "--to", "other/rights", "--create-pr"),
        (*compare, "--push-to", "lab/rights"),
        ("publish-metric", "lab/stir", "--package", "stir-hf @ https://example.com/stir.whl"),
        ("publish-space", "lab/page", "--package", "stir-hf @ https://example.com/stir.whl"),
    ]


def test_a_token_that_only_reads_is_found_out_before_any_work(
    worker: Worker, run: Path, hub: StandInHub, rights: dict[str, object]
) -> None:
    hub.add("dataset", "other/rights", {"README.md": b""})
    rights["hf_lab"] = READS
    for words in commands(run):
        before = len(hub.seen)
        line = worker.refused(2, *words)
        assert "the token laptop only reads; make one that may write at https://hug" in line
        assert not [one for one in hub.seen[before:] if one.startswith(("POST", "PUT"))]
        assert not [one for one in hub.seen[before:] if "standard-0" in one]


@pytest.mark.parametrize("name", LACKING)
def test_a_right_that_a_token_lacks_is_told(
    name: str, worker: Worker, run: Path, rights: dict[str, object]
) -> None:
    rights["hf_lab"], told = LACKING[name]
    assert told in worker.refused(2, "push", run, "--to", "lab/lacking")


@pytest.mark.parametrize("name", ENOUGH)
def test_a_token_that_may_write_here_is_taken(
    name: str, worker: Worker, run: Path, rights: dict[str, object]
) -> None:
    rights["hf_lab"] = ENOUGH[name]
    worker.done("push", run, "--to", "lab/fine-repo")


ROLES: list[tuple[dict[str, object], bool]] = [
    ({"roleInOrg": "read"}, True),
    ({"roleInOrg": "read", "isEnterprise": True}, False),
    ({"roleInOrg": "contributor"}, False),
    ({"roleInOrg": "write"}, False),
    ({}, False),
]


@pytest.mark.parametrize(("role", "refused"), ROLES)
def test_a_member_of_an_organisation_who_only_reads_is_told_before_any_work(
    role: dict[str, object], refused: bool, worker: Worker, hub: StandInHub
) -> None:
    hub.orgs["lab"] = [{"type": "org", "name": "other", **role}]
    compare = ("compare", "lab/standard-0", "lab/robust-0", "--dataset", "lab/nothing")
    line = worker.refused(2, *compare, "--push-to", "other/inversions")
    hub.orgs.clear()
    assert ("who may only read in other" in line) == refused
    assert ("no dataset 'lab/nothing'" in line) != refused


@pytest.mark.verify
def test_a_push_to_a_repo_that_was_renamed_goes_where_it_is(
    worker: Worker, run: Path, hub: StandInHub
) -> None:
    worker.done("push", run, "--to", "lab/old", "--scores-only")
    hub.rename("dataset", "lab/old", "lab/new")
    found = worker.run("push", run, "--to", "lab/old")
    assert found.returncode == 0, found.stderr
    assert "stir-hf: dataset lab/old is called lab/new on the Hub; it goes there" in found.stderr
    assert "/datasets/lab/new" in found.stdout
    assert ("dataset", "lab/old") not in hub.repos
    assert "eval.yaml" in files_of(hub, "lab/new")
    scored = worker.json("score", "lab/robust-1", "--inversions", "lab/old")
    assert len(scored["scores"]) == 2


def test_a_folder_of_scores_is_sent_as_scores(
    worker: Worker, run: Path, hub: StandInHub, tmp_path: Path
) -> None:
    shutil.copy(run / "result.json", tmp_path)
    found = worker.run("push", tmp_path, "--to", "lab/scores-alone")
    assert found.returncode == 0, found.stderr
    assert "holds scores and no inversions; the scores are sent alone" in found.stderr
    assert [p for p in files_of(hub, "lab/scores-alone") if p.startswith("scores/")]
    (tmp_path / "result.json").unlink()
    assert "no inversions" in worker.refused(2, "push", tmp_path, "--to", "lab/scores-alone")


@pytest.mark.verify
@pytest.mark.parametrize("option", ["--eval-results", "--model-index"])
def test_a_push_whose_steps_fail_in_part_says_what_was_done(
    option: str, worker: Worker, run: Path, hub: StandInHub
) -> None:
    to = f"lab/steps-{option.strip('-')}"
    path = "/api/models/lab/standard-0/commit"
    hub.faults.append(Fault("POST", path, status=403, said="Discussions are disabled here"))
    line = worker.refused(1, "push", run, "--to", to, option)
    step = option.removeprefix("--").replace("eval-results", ".eval_results")
    assert "Discussions are disabled here; done: " in line
    done, _, left = line.partition("; not done: ")
    assert f"/datasets/{to}, " in done
    assert "lab/robust-0" in done
    assert left == f"lab/standard-0 ({step}); the same command does the rest"
    found = worker.json("push", run, "--to", to, option)["pushed"]
    assert [one["changed"] for one in found] == [False, True, False]


def test_who_holds_the_token_is_asked_once(worker: Worker, run: Path, hub: StandInHub) -> None:
    before = len(hub.seen)
    worker.done("push", run, "--to", "lab/asked-once", "--eval-results", "--model-index")
    assert hub.counts(before)["GET /api/whoami-v2"] == 1


@pytest.mark.verify
def test_data_that_went_ahead_of_a_push_that_failed_is_told(
    worker: Worker, run: Path, hub: StandInHub
) -> None:
    code = """
import sys
from pathlib import Path
from stir_hf.errors import RunError
from stir_hf.publish import ShareConfig, push_folder, repo
repo.MOST_BYTES, repo.MOST_FILES = 1000, 20
try:
    push_folder(Path(sys.argv[1]), sys.argv[2], ShareConfig())
except RunError as error:
    print(error)
"""
    second = Fault("POST", "/commit/main", status=507, said="No room")
    hub.faults.append(
        Fault("POST", "/commit/main", action=lambda: hub.faults.append(second), delay=0.0)
    )
    told = worker.python(code, str(run), "lab/ahead")
    assert "No room" in told
    assert "files were sent; repeat the command to finish" in told
    worker.done("push", run, "--to", "lab/ahead")
    assert "README.md" in files_of(hub, "lab/ahead")


def test_places_are_given_by_their_address(worker: Worker, run: Path, hub: StandInHub) -> None:
    page = f"{hub.url}/datasets/lab/by-address"
    worker.done("push", run, "--to", page, "--scores-only")
    worker.done("push", run, "--to", "hf://datasets/lab/by-address")
    model = hub.url.replace("http", "HTTP") + "/lab/robust-1"
    assert worker.json("score", model, "--inversions", page)["scores"][0]["model"].startswith(
        "lab/robust-1"
    )
    assert worker.done("leaderboard", f"{page}/tree/main") == worker.done(
        "leaderboard", "lab/by-address"
    )
    line = worker.refused(2, "score", model, "--inversions", f"{hub.url}/lab/by-address")
    assert "is the URL of a model; expected a dataset" in line


@pytest.mark.verify
def test_the_command_line_prints_its_own_lines_alone(
    client: Client, run: Path, hub: StandInHub
) -> None:
    card = {"README.md": b"# A card without metadata\n"}
    hub.add("dataset", "lab/plain-card", card)
    hub.add("dataset", "lab/plain-images", IMAGES)
    hub.add("dataset", "lab/plain-images", card)
    package = ("--package", "stir-hf @ https://example.com/stir.whl")
    found = client.run("push", run, "--to", "lab/plain-card", *package)
    assert (found.returncode, found.stderr) == (0, "")
    code = """
import logging, sys
from stir_hf.cli import main
main(sys.argv[1:])
assert logging.getLogger().handlers == [], logging.getLogger().handlers
"""
    words = ["invert", "lab/robust-1", "--dataset", "lab/plain-images", "--num-samples", "6"]
    words += ["--steps", "1", "--out", str(client.home / "out")]
    done = warm.run(["-c", code, *words], client.env())
    assert done.returncode == 0, done.stderr
    assert "metadata block" not in done.stderr
