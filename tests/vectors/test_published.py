"""Vectors from the command line to the Hub and back, and sets of strangers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import stir_hf
from stir_hf.data.files.broken import BrokenError
from tests.data.tampered import at, column
from tests.publish.clients import Client
from tests.stand_in_hub import serve
from tests.vectors.conftest import ROWS, checkpoint, features, linear


@pytest.mark.verify
def test_from_the_command_line_to_the_hub_and_back(tmp_path: Path, data_folder: Path) -> None:
    one, two = (checkpoint(tmp_path / name, seed) for seed, name in enumerate(("one", "two")))
    with serve() as hub:
        client = Client(hub, tmp_path / "home")
        for name, folder in (("one", one), ("two", two)):
            hub.add("model", f"lab/{name}", folder)
        hub.add("dataset", "lab/features", data_folder)
        trust = ("--trust-remote-code", "--steps", 20)
        made = client.json(
            *("compare", "lab/one", "lab/two", "--dataset", "lab/features", *trust),
            *("--out", tmp_path / "run", "--push-to", "lab/pairs", "--public"),
        )
        assert [score["num_samples"] for score in made["scores"]] == [ROWS, ROWS]
        found = client.json("score", "lab/one", "--inversions", "lab/pairs", "--trust-remote-code")
        by_reference = {score["reference"]: score for score in found["scores"]}
        expected = made["scores"][0]
        assert by_reference[expected["reference"]]["stir"] == pytest.approx(expected["stir"])
        board = client.done("leaderboard", "lab/pairs")
        assert "lab/one" in board
        card = hub.repo("dataset", "lab/pairs").at("main").files["README.md"].data.decode()
        assert "vector" in card
        told = client.refused(2, "score", "lab/one", "--inversions", "lab/pairs")
        assert "trust-remote-code" in told


SPOILT: dict[str, tuple[Any, str]] = {
    "another length": (column("vector", at(2, [1.0] * 5)), "has 5 values, not 12"),
    "not finite": (column("inverted", at(2, [float("nan")] * 12)), "it is not finite"),
    "no values": (column("inverted", at(2, None)), "has 0 values, not 12"),
    "another vector": (
        column("vector", at(2, [0.5] * 12)),
        "its values are not those of its canvas_hash",
    ),
    "texts": (
        column("vector", lambda rows: ["x"] * len(rows), __import__("pyarrow").string()),
        "column 'vector' must be of vectors, not string",
    ),
}


@pytest.mark.parametrize("name", SPOILT)
def test_broken_rows_are_told(name: str, tmp_path: Path) -> None:
    change, said = SPOILT[name]
    made = stir_hf.invert(linear(5, 1), features(6), steps=5, out=tmp_path, progress=False)
    (file,) = made.path.glob("*.parquet")
    pq.write_table(change(pq.read_table(file)), file, write_page_checksum=True)
    with pytest.raises(BrokenError, match=said):
        stir_hf.score(linear(5, 2), stir_hf.Inversions.load(tmp_path), progress=False)


@pytest.mark.parametrize(
    ("canvas", "said"),
    [
        ({"kind": "vector", "length": 0}, "identity.canvas.length must be a whole number from 1"),
        ({"kind": "vector"}, "identity.canvas.length"),
        ({"kind": "smell", "odour": 3}, "'smell' are unknown; this stir-hf knows image, vector"),
    ],
)
def test_broken_kinds_are_told(canvas: dict[str, Any], said: str, tmp_path: Path) -> None:
    made = stir_hf.invert(linear(5, 1), features(6), steps=5, out=tmp_path, progress=False)
    manifest = made.path / "inversions.json"
    found = json.loads(manifest.read_text())
    found["identity"]["canvas"] = canvas
    manifest.write_text(json.dumps(found))
    with pytest.raises(stir_hf.RequestError, match=said):
        stir_hf.Inversions.load(tmp_path)


@pytest.mark.verify
def test_a_set_without_its_originals_takes_them_from_the_dataset(
    tmp_path: Path, data_folder: Path
) -> None:
    one, two = (checkpoint(tmp_path / name, seed) for seed, name in enumerate(("one", "two")))
    with serve() as hub:
        client = Client(hub, tmp_path / "home")
        for name, folder in (("one", one), ("two", two)):
            hub.add("model", f"lab/{name}", folder)
        hub.add("dataset", "lab/features", data_folder)
        trust = ("--trust-remote-code", "--steps", 20)
        words = (
            "invert",
            "lab/one",
            "--dataset",
            "lab/features",
            *trust,
            "--out",
            tmp_path / "run",
        )
        client.done(*words, "--push-to", "lab/bare", "--public", "--without-images")
        score = ("score", "lab/two", "--trust-remote-code", "--inversions")
        bare = client.json(*score, "lab/bare")["scores"][0]
        whole = client.json(*score, tmp_path / "run")["scores"][0]
        assert bare["stir"] == pytest.approx(whole["stir"])
        np.testing.assert_allclose(bare["floor"], whole["floor"])
