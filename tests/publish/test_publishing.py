"""What is sent, to whom it shows, and what is refused before any work."""

import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq
import pytest
import yaml  # type: ignore[import-untyped]  # has none
from huggingface_hub import DatasetCard, ModelCard
from PIL import Image

from stir_hf.data.manifest import Manifest
from stir_hf.demo import IMAGES, model_path
from stir_hf.publish.packing import without_paths
from tests.publish.clients import Worker
from tests.publish.conftest import QUICK
from tests.stand_in_hub import Fault, StandInHub

PUSH_LARGE = """
import sys
from pathlib import Path
from stir_hf.publish import ShareConfig, push_folder
from stir_hf.publish.repo import Limits
limits = Limits(megabytes=0.001, files=20)
print(push_folder(Path(sys.argv[1]), sys.argv[2], ShareConfig(), limits=limits))
"""


def files_of(hub: StandInHub, repo: str, kind: str = "dataset") -> dict[str, bytes]:
    return {path: blob.data for path, blob in hub.repo(kind, repo).at("main").files.items()}


def test_nothing_else_of_the_folder_is_sent(
    worker: Worker, run: Path, hub: StandInHub, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    (folder / "secret.txt").write_text("mine")
    (folder / "figures" / "holiday.png").write_bytes(b"mine")
    a_set = next((folder / "inversions").iterdir())
    (a_set / "notes.md").write_text("mine")
    worker.done("push", folder, "--to", "lab/whole")
    shapes = {
        "scores/" if path.startswith("scores/") else path.rpartition("/")[2][:5]
        for path in files_of(hub, "lab/whole")
    }
    assert shapes == {".gita", "READM", "eval.", "inver", "data-", "scores/"} | {
        p.rpartition("/")[2][:5]
        for p in files_of(hub, "lab/whole")
        if p.startswith(("figures/", "results/"))
    }
    assert not [p for p, data in files_of(hub, "lab/whole").items() if data == b"mine"]
    names = {one.name for one in (folder / "inversions").iterdir()}
    assert {p.partition("/")[0] for p in files_of(hub, "lab/whole") if "data-" in p} == names


def test_a_set_that_has_more_rows_extends_the_published_one(
    worker: Worker, hub: StandInHub, tmp_path: Path
) -> None:
    words = ("invert", "lab/robust-0", "--dataset", "lab/images", "--steps", 3, "--out", tmp_path)
    worker.done(*words, "--num-samples", 5)
    worker.done("push", tmp_path, "--to", "lab/growing")
    score = ("score", "lab/standard-0", "--inversions", "lab/growing")
    small = worker.json(*score)["scores"][0]
    worker.done(*words, "--num-samples", 9)
    assert worker.json("push", tmp_path, "--to", "lab/growing")["pushed"][0]["changed"]
    assert worker.json(*score)["scores"][0]["num_samples"] == 9
    again = worker.json(*score, "--num-samples", 5)["scores"][0]
    assert again["stir"] == pytest.approx(small["stir"], abs=1e-6)
    first = worker.run("push", tmp_path, "--to", "lab/growing")
    assert "holds it already" in first.stdout
    parts = [p for p in files_of(hub, "lab/growing") if p.endswith(".parquet")]
    assert len(parts) == len(list(tmp_path.glob("inversions/*/*.parquet")))


def test_an_unfinished_set_is_not_sent(worker: Worker, run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    sets = sorted((tmp_path / "run" / "inversions").iterdir())
    for folder in sets:
        path = folder / "inversions.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "complete": None}))
    line = worker.refused(2, "push", tmp_path / "run", "--to", "lab/never")
    assert "holds no finished inversions" in line
    assert ("dataset", "lab/never") not in worker.hub.repos


def test_other_bytes_of_a_published_row_are_refused(
    worker: Worker, hub: StandInHub, tmp_path: Path
) -> None:
    """Two machines that made the same set: another number of threads rounds otherwise."""
    words = ("invert", "lab/robust-0", "--dataset", "lab/images", *QUICK, "--seed", 3)
    worker.done(*words, "--out", tmp_path / "a")
    worker.done("push", tmp_path / "a", "--to", "lab/theirs")
    before = hub.repo("dataset", "lab/theirs").at("main").sha
    (made,) = (tmp_path / "a" / "inversions").iterdir()
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    (copy,) = (tmp_path / "b" / "inversions").iterdir()
    spoil(copy)
    line = worker.refused(2, "push", tmp_path / "b", "--to", "lab/theirs")
    assert "holds another inversion of image" in line
    assert Manifest.read(made).slug in line
    assert hub.repo("dataset", "lab/theirs").at("main").sha == before


def spoil(folder: Path) -> None:
    """Change one pixel of one inverted image."""
    (path,) = folder.glob("*.parquet")
    rows = datasets.Dataset(pq.read_table(path))
    first = rows[0]["inverted"].copy()
    first.putpixel((0, 0), 255 - first.getpixel((0, 0)))
    assert isinstance(first, Image.Image)
    changed = [
        {**row, "inverted": first if i == 0 else row["inverted"]} for i, row in enumerate(rows)
    ]
    table = datasets.Dataset.from_list(changed, features=rows.features).data.table
    pq.write_table(table, path)


@pytest.mark.verify
def test_what_is_not_public_makes_the_repo_private(
    worker: Worker, hub: StandInHub, tmp_path: Path
) -> None:
    hub.add("dataset", "lab/gated", IMAGES, gated=True)
    hub.add("model", "lab/secret", Path(model_path("robust-0")), private=True)
    cases = {
        "gated": ("lab/robust-0", "lab/gated", "the dataset lab/gated is gated"),
        "secret": ("lab/secret", "lab/images", "the reference lab/secret is private"),
        "local": ("lab/robust-0", IMAGES, "is local"),
    }
    for name, (model, data, why) in cases.items():
        out, to = tmp_path / name, f"lab/about-{name}"
        worker.done("invert", model, "--dataset", data, *QUICK, "--out", out)
        told = worker.run("push", out, "--to", to)
        assert told.returncode == 0, told.stderr
        assert f"{to} is made private: " in told.stderr
        assert why in told.stderr
        assert hub.repo("dataset", to).private
        assert worker.json("push", out, "--to", to)["pushed"][0]["changed"] is False
        opened = worker.run("push", out, "--to", f"{to}-open", "--public")
        assert "this becomes public: images of " in opened.stderr
        assert not hub.repo("dataset", f"{to}-open").private
        line = worker.refused(2, "push", out, "--to", f"{to}-open")
        assert "is public, and" in line
        assert "--public publishes it all the same" in line


def test_an_open_set_is_public_and_private_on_demand(
    worker: Worker, run: Path, hub: StandInHub
) -> None:
    worker.done("push", run, "--to", "lab/open")
    assert not hub.repo("dataset", "lab/open").private
    worker.done("push", run, "--to", "lab/closed", "--private")
    assert hub.repo("dataset", "lab/closed").private
    assert "is public already" in worker.refused(2, "push", run, "--to", "lab/open", "--private")


def test_without_images_the_originals_come_from_their_dataset(
    worker: Worker, run: Path, hub: StandInHub, tmp_path: Path
) -> None:
    worker.done("push", run, "--to", "lab/bare", "--without-images")
    worker.done("push", run, "--to", "lab/full")
    sizes = [
        sum(len(d) for p, d in files_of(hub, repo).items() if "data-" in p)
        for repo in ("lab/bare", "lab/full")
    ]
    assert sizes[0] < sizes[1]
    found = [
        worker.json("score", "lab/robust-1", "--inversions", repo)["scores"]
        for repo in ("lab/bare", "lab/full")
    ]
    assert [s["stir"] for s in found[0]] == [s["stir"] for s in found[1]]
    assert [s["similarity"] for s in found[0]] == [s["similarity"] for s in found[1]]
    line = worker.refused(
        2, "push", local_run(worker, tmp_path), "--to", "lab/nobody", "--without-images"
    )
    assert "nobody could fetch the images" in line


@pytest.mark.verify
def test_an_image_that_changed_at_its_source_is_named(
    worker: Worker, hub: StandInHub, tmp_path: Path
) -> None:
    hub.add("dataset", "lab/changing", IMAGES)
    words = ("invert", "lab/robust-0", "--dataset", "lab/changing", *QUICK)
    worker.done(*words, "--out", tmp_path)
    worker.done("push", tmp_path, "--to", "lab/of-changing", "--without-images")
    (parquet,) = [p for p in files_of(hub, "lab/changing") if p.endswith(".parquet")]
    rows = pq.read_table(io.BytesIO(files_of(hub, "lab/changing")[parquet]))
    turned = io.BytesIO()
    pq.write_table(rows.take(list(range(len(rows)))[::-1]), turned)
    commit = hub.add("dataset", "lab/changing", {parquet: turned.getvalue()})
    (made,) = [p for p in files_of(hub, "lab/of-changing") if p.endswith("inversions.json")]
    record = json.loads(files_of(hub, "lab/of-changing")[made])
    record["names"]["data_revision"] = commit
    hub.add("dataset", "lab/of-changing", {made: json.dumps(record).encode()})
    line = worker.refused(2, "score", "lab/standard-0", "--inversions", "lab/of-changing")
    assert re.search(r"image \d+ of lab/changing is not what was inverted", line)


def local_run(worker: Worker, tmp_path: Path) -> Path:
    out = tmp_path / "local"
    worker.done("invert", "lab/robust-0", "--dataset", IMAGES, *QUICK, "--out", out)
    return out


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


def test_a_hub_that_takes_no_eval_yaml_takes_the_rest(
    worker: Worker, run: Path, hub: StandInHub
) -> None:
    hub.faults.append(Fault("POST", "/commit/", status=400))
    found = worker.run("push", run, "--to", "lab/no-benchmark")
    assert found.returncode == 0, found.stderr
    assert "does not take its eval.yaml" in found.stderr
    assert "eval.yaml" not in files_of(hub, "lab/no-benchmark")
    assert worker.json("leaderboard", "lab/no-benchmark")["boards"]


def test_tasks_of_others_stay_in_eval_yaml(worker: Worker, run: Path, hub: StandInHub) -> None:
    theirs = b"name: Mine\ntasks:\n- id: other\n"
    hub.add("dataset", "lab/tasks", {"README.md": b"", "eval.yaml": theirs})
    worker.done("push", run, "--to", "lab/tasks")
    found = yaml.safe_load(files_of(hub, "lab/tasks")["eval.yaml"])
    assert found["name"] == "Mine"
    assert len(found["tasks"]) == 3
    assert found["tasks"][0] == {"id": "other"}


@pytest.mark.verify
def test_scores_on_what_is_not_public_are_private(
    worker: Worker, hub: StandInHub, tmp_path: Path
) -> None:
    worker.done("invert", "lab/robust-0", "--dataset", IMAGES, *QUICK, "--out", tmp_path)
    words = ("score", "lab/standard-0", "--inversions", tmp_path, "--push-to", "lab/hidden")
    found = worker.run(*words)
    assert found.returncode == 0, found.stderr
    assert "lab/hidden is made private: the dataset" in found.stderr
    assert hub.repo("dataset", "lab/hidden").private
    told = worker.run(*words, "--public").stderr
    assert "lab/hidden is private and stays so" in told


@pytest.mark.parametrize(
    ("card", "told"),
    [
        (b"---\nconfigs: [a\n---\n", "cannot be read"),
        (b"---\nconfigs: 3\n---\n", "cannot be read"),
        (b"# Mine\n<!-- stir-hf: begin -->\nx\n", "has lost its mark"),
    ],
)
def test_a_card_that_cannot_be_kept_is_left_alone(
    worker: Worker, run: Path, hub: StandInHub, card: bytes, told: str
) -> None:
    hub.add("dataset", "lab/odd-card", {"README.md": card})
    assert told in worker.refused(2, "push", run, "--to", "lab/odd-card")
    assert files_of(hub, "lab/odd-card")["README.md"] == card


@pytest.mark.verify
def test_a_card_follows_the_licences_of_its_images(
    worker: Worker, hub: StandInHub, tmp_path: Path
) -> None:
    for name, licence in (("a", "mit"), ("b", "cc-by-4.0")):
        hub.add("dataset", f"lab/images-{name}", IMAGES)
        text = f"---\nlicense: {licence}\n---\n".encode()
        hub.add("dataset", f"lab/images-{name}", {"README.md": text})
        out = tmp_path / name
        words = ("--dataset", f"lab/images-{name}", *QUICK, "--seed", 1, "--out", out)
        worker.done("invert", f"lab/robust-{'01'[name == 'b']}", *words)
        worker.done("push", out, "--to", "lab/licences")
        card = DatasetCard(files_of(hub, "lab/licences")["README.md"].decode())
        if name == "a":
            assert card.data.get("license") == "mit"
    assert card.data.get("license") is None
    assert card.data.get("source_datasets") == ["lab/images-a", "lab/images-b"]
    assert card.text.count("| licence of the images | cc-by-4.0 |") == 1


def test_a_set_is_published_with_its_images_or_without(
    worker: Worker, run: Path, hub: StandInHub
) -> None:
    worker.done("push", run, "--to", "lab/pictures")
    line = worker.refused(2, "push", run, "--to", "lab/pictures", "--without-images")
    assert "with other columns (with or without the originals)" in line


def test_a_name_on_the_hub_is_kept(worker: Worker, tmp_path: Path) -> None:
    words = ("invert", "lab/robust-0", "--dataset", "lab/images", *QUICK, "--out", tmp_path / "o")
    for name in ("lab/robust-0=mine", "mine"):
        assert "is on the Hub and keeps its name" in worker.refused(2, *words, "--name", name)


def test_others_results_that_are_no_numbers_are_passed_over(
    worker: Worker, run: Path, hub: StandInHub
) -> None:
    worker.done("push", run, "--to", "lab/odd-results")
    entry = {"dataset": {"id": "lab/odd-results", "task_id": "x"}, "value": "71%", "notes": "n=1,0"}
    hub.add("model", "other/odd", {".eval_results/a.yaml": yaml.safe_dump([entry]).encode()})
    boards = worker.json("leaderboard", "lab/odd-results")["boards"]
    assert sum(len(one["lines"]) for one in boards) == 2
    del hub.repos["model", "other/odd"]


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("/mnt/jane/imgs holds files", "imgs holds files"),
        ("file:///home/jane/x and path:/root/a/b", "x and path:b"),
        (r"from C:\Users\jane\x", "from x"),
        ("~/data/x, org/model and https://hf.co/a/b", "x, org/model and https://hf.co/a/b"),
        ("a/b/c, 3/4 and /single", "a/b/c, 3/4 and /single"),
    ],
)
def test_paths_become_their_last_name(text: str, public: str) -> None:
    assert without_paths({text: [text]}) == {public: [public]}


def test_the_card_keeps_what_others_wrote(worker: Worker, run: Path, hub: StandInHub) -> None:
    hub.add(
        "dataset",
        "lab/card",
        {
            "README.md": b"---\npretty_name: Mine\nconfigs:\n- config_name: other\n"
            b"  data_files: other/*\n---\n# My words\n",
            "other/a.csv": b"a\n1\n",
        },
    )
    worker.done("push", run, "--to", "lab/card")
    card = DatasetCard(files_of(hub, "lab/card")["README.md"].decode())
    assert card.data.get("pretty_name") == "Mine"
    assert card.data.get("configs")[0]["config_name"] == "other"
    assert len(card.data.get("configs")) == 4
    assert card.text.strip().startswith("# My words")
    assert card.text.count("<!-- stir-hf: begin") == 1
    worker.done("push", run, "--to", "lab/card", "--scores-only")
    assert DatasetCard(files_of(hub, "lab/card")["README.md"].decode()).content == card.content


def test_scores_of_many_runs_in_a_repo_of_their_own(
    worker: Worker, run: Path, hub: StandInHub
) -> None:
    worker.done("push", run, "--to", "lab/results", "--scores-only")
    files = [p for p in files_of(hub, "lab/results") if p.startswith("scores/")]
    assert len(files) == 2
    assert not [p for p in files_of(hub, "lab/results") if "data-" in p]
    assert len(worker.json("leaderboard", "lab/results")["boards"]) == 2
    line = worker.refused(2, "score", "lab/robust-1", "--inversions", "lab/results")
    assert "holds no inversions; it holds the configs scores" in line


def test_scores_in_the_models_own_repos(worker: Worker, run: Path, hub: StandInHub) -> None:
    words = ("push", run, "--to", "lab/bench", "--eval-results")
    worker.done(*words)
    assert worker.json(*words)["pushed"][1]["changed"] is False
    repo = hub.repo("model", "lab/standard-0")
    assert len(repo.pulls) == 1
    found = repo.at("refs/pr/1").files
    ((path, blob),) = [(p, b) for p, b in found.items() if p.startswith(".eval_results/")]
    (entry,) = yaml.safe_load(blob.data)
    result = json.loads((run / "result.json").read_text())
    assert entry["value"] == result["scores"][0]["stir"]
    assert entry["dataset"]["id"] == "lab/bench"
    tasks = yaml.safe_load(files_of(hub, "lab/bench")["eval.yaml"])["tasks"]
    assert entry["dataset"]["task_id"] in [task["id"] for task in tasks]
    assert entry["source"]["url"].startswith(f"{hub.url}/datasets/lab/bench/blob/main/scores/")
    assert "floor=" in entry["notes"]
    assert path.endswith(".yaml")


def test_a_leaderboard_shows_fine_tuned_models_too(
    worker: Worker, run: Path, hub: StandInHub, tmp_path: Path
) -> None:
    worker.done("push", run, "--to", "lab/tuned")
    notes = "set={}; layer=penultimate; measure=linear_cka; n=6; draws=1; floor=0.1; error=0.2"
    (board,) = [
        one
        for one in worker.json("leaderboard", "lab/tuned")["boards"]
        if one["reference"].startswith("lab/robust-0")
    ]
    for name, card in (("fine", b"---\nbase_model: lab/robust-0\n---\n"), ("plain", b"")):
        entry = {
            "dataset": {"id": "lab/tuned", "task_id": "x"},
            "value": 0.99 if name == "fine" else 0.01,
            "notes": notes.format(board["inversions"]),
        }
        text = yaml.safe_dump([entry]).encode()
        hub.add("model", f"other/{name}", {"README.md": card, ".eval_results/a.yaml": text})
    (board,) = [
        one
        for one in worker.json("leaderboard", "lab/tuned")["boards"]
        if one["inversions"] == board["inversions"]
    ]
    models = [line["model"].partition("@")[0] for line in board["lines"]]
    assert models == ["other/fine", "lab/standard-0", "other/plain"]
    assert board["lines"][0]["source"] == ".eval_results"


def test_model_index_keeps_others_entries(worker: Worker, run: Path, hub: StandInHub) -> None:
    card = """---
license: mit
model-index:
- name: mine
  results:
  - task: {type: image-classification}
    dataset: {type: fashion_mnist, name: Fashion-MNIST}
    metrics:
    - {type: accuracy, value: 0.91}
---
# Mine
"""
    hub.add("model", "lab/standard-0", {"README.md": card.encode()})
    words = ("push", run, "--to", "lab/indexed", "--model-index")
    worker.done(*words)
    worker.done(*words)
    made: Any = ModelCard(files_of(hub, "lab/standard-0", "model")["README.md"].decode())
    results: Any = made.data.eval_results
    assert [(r.metric_type, r.dataset_type) for r in results] == [
        ("accuracy", "fashion_mnist"),
        ("stir", "lab/indexed"),
    ]
    assert made.text.strip() == "# Mine"
    assert not any(one["changed"] for one in worker.json(*words)["pushed"])


@pytest.mark.verify
def test_push_to_hub_of_the_objects(worker: Worker, run: Path, hub: StandInHub) -> None:
    code = (
        "import sys; from pathlib import Path; import stir_hf\n"
        "folder = Path(sys.argv[1])\n"
        "sets = stir_hf.Inversions.load_all(folder)\n"
        "print(*(one.push_to_hub('lab/objects', private=True) for one in sets))\n"
        "print(stir_hf.StirResult.load(folder).push_to_hub('lab/objects'))\n"
        "print(len(stir_hf.Inversions.load_all('lab/objects')))\n"
    )
    shown = worker.python(code, str(run)).splitlines()
    url = f"{hub.url}/datasets/lab/objects"
    assert shown == [f"{url} {url}", url, "2"]
    assert hub.repo("dataset", "lab/objects").private
    assert sum(p.startswith("scores/") for p in files_of(hub, "lab/objects")) == 2


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


def test_the_token_is_nowhere(worker: Worker, run: Path, hub: StandInHub) -> None:
    done = worker.run("push", run, "--to", "lab/quiet", "--debug")
    assert "hf_lab" not in done.stdout + done.stderr
    assert not [p for p, data in files_of(hub, "lab/quiet").items() if b"hf_lab" in data]


def test_a_push_that_fails_keeps_a_run_without_out(worker: Worker, hub: StandInHub) -> None:
    hub.faults.append(Fault("POST", "/commit/", status=403))
    words = ("compare", "lab/standard-0", "lab/robust-0", "--dataset", "lab/images", *QUICK)
    line = worker.refused(1, *words, "--push-to", "lab/kept", "--private")
    assert "may not write to dataset lab/kept" in line
    command = line.partition("send it with `stir-hf ")[2].rstrip("`").split()
    assert command[-1] == "--private"
    worker.done(*command)
    assert worker.json("leaderboard", "lab/kept")["boards"]
    shutil.rmtree(command[1])
