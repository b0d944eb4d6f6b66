"""Which sets and rows are sent."""

import json
import shutil
from pathlib import Path

import datasets
import pyarrow.parquet as pq
import pytest
from PIL import Image

from stir_hf.data.sets.manifest import Manifest
from tests.publish.clients import Worker, files_of
from tests.publish.conftest import QUICK
from tests.stand_in_hub import StandInHub


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
    assert "Already there: http" in first.stdout
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
