"""To whom it shows: private and public repos, images or none, cards, names, tokens."""

import io
import json
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from huggingface_hub import DatasetCard

from stir_hf.demo import IMAGES, model_path
from stir_hf.publish.packing import without_paths
from tests.publish.clients import Worker, files_of
from tests.publish.conftest import QUICK
from tests.stand_in_hub import StandInHub


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


@pytest.mark.verify
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
    assert "nobody could fetch the originals" in line


@pytest.mark.verify
def test_images_to_start_from_come_from_the_dataset_too(
    worker: Worker, hub: StandInHub, tmp_path: Path
) -> None:
    hub.add("dataset", "lab/starts", IMAGES)
    words = ("invert", "lab/robust-0", "--dataset", "lab/starts", *QUICK, "--start", "other")
    worker.done(*words, "--out", tmp_path)
    worker.done("push", tmp_path, "--to", "lab/of-starts", "--without-images")
    score = ("score", "lab/standard-0", "--inversions")
    (bare,) = worker.json(*score, "lab/of-starts")["scores"]
    (whole,) = worker.json(*score, tmp_path)["scores"]
    assert bare["floor"] == whole["floor"]
    assert bare["stir"] == whole["stir"]


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
    assert re.search(r"image \d+ of lab/changing has changed since it was inverted", line)


def local_run(worker: Worker, tmp_path: Path) -> Path:
    out = tmp_path / "local"
    worker.done("invert", "lab/robust-0", "--dataset", IMAGES, *QUICK, "--out", out)
    return out


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
    assert "with other columns (differing: image, label)" in line


def test_a_name_on_the_hub_is_kept(worker: Worker, tmp_path: Path) -> None:
    words = ("invert", "lab/robust-0", "--dataset", "lab/images", *QUICK, "--out", tmp_path / "o")
    for name in ("lab/robust-0=mine", "mine"):
        assert "is on the Hub and keeps its name" in worker.refused(2, *words, "--name", name)


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


def test_the_token_is_nowhere(worker: Worker, run: Path, hub: StandInHub) -> None:
    done = worker.run("push", run, "--to", "lab/quiet", "--debug")
    assert "hf_lab" not in done.stdout + done.stderr
    assert not [p for p, data in files_of(hub, "lab/quiet").items() if b"hf_lab" in data]
