"""Parts of a set that were made apart, and what joins them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stir_hf
from stir_hf import Inversions
from stir_hf.data.sets.manifest import Manifest
from stir_hf.data.sets.parts import PartConfig, merge
from stir_hf.demo import IMAGES, model_path
from tests.test_cli import run

REFERENCE = model_path("robust-0")


def invert(out: Path, part: str | None, count: int = 11, **more: object) -> Inversions:
    options: dict[str, Any] = {"num_samples": count, "steps": 3, "batch_size": 4, **more}
    return stir_hf.invert(REFERENCE, str(IMAGES), out=out, part=part, progress=False, **options)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    out = tmp_path_factory.mktemp("parts")
    for i in (1, 2, 3):
        invert(out / str(i), f"{i}/3")
    return [out / str(i) for i in (1, 2, 3)]


def test_parts_joined_are_the_whole(folders: list[Path], tmp_path: Path) -> None:
    (made,) = map(Inversions.read, merge(folders, tmp_path / "joined"))
    whole = invert(tmp_path / "whole", None)
    assert made.manifest.hash == whole.manifest.hash
    assert made.manifest.complete == {"num_samples": 11, "draws": 1}
    np.testing.assert_array_equal(made.index, whole.index)
    np.testing.assert_allclose(made.relative_error, whole.relative_error, atol=1e-5)
    assert [run.get("part") for run in made.manifest.runs] == ["1/3", "2/3", "3/3"]
    merge(folders, tmp_path / "joined")  # again changes nothing
    assert len(Inversions.load(tmp_path / "joined")) == 11


def test_a_part_is_every_nth_image_and_never_finished(folders: list[Path]) -> None:
    (made,) = folders[1].glob("inversions/*")
    assert Manifest.read(made).complete is None
    rows = invert(folders[1], "2/3")
    assert (len(rows), rows.num_samples) == (4, 4)
    with pytest.raises(stir_hf.RequestError, match="no finished inversions"):
        stir_hf.score(REFERENCE, folders[1])


def test_a_list_of_folders_is_loaded_as_one(folders: list[Path]) -> None:
    made = Inversions.load(folders)
    assert len(made) == 11
    folder = made.path
    assert folder.exists()
    del made
    assert not folder.exists()


def test_the_largest_prefix_counts(folders: list[Path], tmp_path: Path) -> None:
    (made,) = map(Inversions.read, merge([folders[0], folders[1]], tmp_path / "a"))
    assert made.manifest.complete == {"num_samples": 2, "draws": 1}
    assert len(made) == 2
    with pytest.raises(stir_hf.RequestError, match="no folder contains its first sample"):
        merge(folders[1:], tmp_path / "b")
    (made,) = map(Inversions.read, merge(folders, tmp_path / "a"))  # what came late
    assert len(made) == 11


def test_more_draws_count_as_far_as_they_are_whole(folders: list[Path], tmp_path: Path) -> None:
    invert(tmp_path / "more", "1/3", draws=2)
    (made,) = map(Inversions.read, merge([*folders, tmp_path / "more"], tmp_path / "out"))
    assert made.manifest.complete == {"num_samples": 11, "draws": 1}


def test_other_sets_are_refused(folders: list[Path], tmp_path: Path) -> None:
    invert(tmp_path / "other", "2/3", steps=4)
    with pytest.raises(stir_hf.RequestError, match="parts of one run have the same sets"):
        merge([folders[0], tmp_path / "other"], tmp_path / "out")
    invert(tmp_path / "whole", None, steps=4)
    with pytest.raises(stir_hf.RequestError, match="holds inversions of another run"):
        merge(folders, tmp_path / "whole")
    with pytest.raises(stir_hf.RequestError, match="no such folder"):
        merge([tmp_path / "nowhere"], tmp_path / "out")


@pytest.mark.parametrize("part", ["0/3", "4/3", "1", "a/b", "1/0", "-1/2", ""])
def test_what_is_no_part_is_refused(part: str) -> None:
    with pytest.raises(stir_hf.RequestError, match="part must be I/N"):
        PartConfig(part)


def test_merge_on_the_command_line(
    folders: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    code, said, _ = run(["merge", *map(str, folders), "--out", out, "--json"], capsys)
    (found,) = json.loads(said)["merged"]
    assert (code, found["num_samples"]) == (0, 11)
    code, said, _ = run(["score", REFERENCE, "--inversions", out, "--json"], capsys)
    assert (code, json.loads(said)["scores"][0]["num_samples"]) == (0, 11)
