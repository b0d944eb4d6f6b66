"""An inversion set is known by its content: spelling, defaults and unknown fields do not matter."""

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import stir_hf
from stir_hf import Inversions, RequestError, StirResult
from tests.conftest import TinyModels
from tests.tiny import (
    Net,
    assert_same,
    compared,
    inverted,
    picture_folder,
    pictures,
    sets,
)


def edit(path: Path, **fields: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


@pytest.fixture
def vit(tiny_models: TinyModels, tmp_path: Path) -> Path:
    """A copy of the small ViT, to be changed."""
    return Path(shutil.copytree(tiny_models.vit, tmp_path / "vit"))


# B5: spelling


def continues(out: Path, first: Callable[[], Inversions], again: Callable[[], Inversions]) -> None:
    """The second call finds what the first has made, and makes nothing."""
    made = first()
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*.parquet")}
    assert_same(again(), made)
    assert len(sets(out)) == 1
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*.parquet")} == before


@pytest.mark.parametrize("spelling", ["./vit/", "absolute", "vit/../vit"])
def test_a_model_folder_spelt_otherwise(
    spelling: str, vit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data, out = pictures(5, side=32), tmp_path / "out"
    other = str(vit) if spelling == "absolute" else spelling
    continues(out, lambda: inverted("vit", data, out), lambda: inverted(other, data, out))


@pytest.mark.parametrize("spelling", ["./data/", "absolute"])
def test_a_dataset_folder_spelt_otherwise(
    spelling: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    out, other = tmp_path / "out", str(picture_folder(tmp_path / "data", 5))
    other = other if spelling == "absolute" else spelling
    continues(out, lambda: inverted(Net(), "data", out), lambda: inverted(Net(), other, out))


def test_a_model_folder_that_moved(vit: Path, tmp_path: Path) -> None:
    data, out, other = pictures(5, side=32), tmp_path / "out", tmp_path / "moved"

    def again() -> Inversions:
        vit.rename(other)
        return inverted(str(other), data, out)

    continues(out, lambda: inverted(str(vit), data, out), again)


@pytest.mark.parametrize(
    ("layer", "same"),
    [("logits", "classifier"), ("hidden_states[-1]", "hidden_states[3]")],
)
def test_a_layer_spelt_otherwise(layer: str, same: str, vit: Path, tmp_path: Path) -> None:
    call = partial(inverted, str(vit), pictures(5, side=32), tmp_path / "out")
    continues(tmp_path / "out", lambda: call(layer=layer), lambda: call(layer=same))


def test_a_set_is_found_by_its_hash(tmp_path: Path) -> None:
    data = pictures(5)

    made = inverted(Net(), data, tmp_path / "made")
    shutil.copytree(tmp_path / "made", tmp_path / "moved")
    (folder,) = sets(tmp_path / "moved")
    folder.rename(folder.with_name("renamed"))
    assert_same(inverted(Net(), data, tmp_path / "moved"), made)
    assert len(sets(tmp_path / "moved")) == 1


# B6: options at their defaults


DEFAULTS: list[dict[str, Any]] = [
    {"start": "noise"},
    {"steps": 200},
    {"tolerance": 0.02},
    {"method": "adam-polyak"},
    {"seed": 0},
    {"exact": False},
    {"draws": 1},
    {"batch_size": 2},
    {"dtype": "float32"},
]
NEW: list[dict[str, Any]] = [{"constraint": "box"}, {"tf32": False}]


def check_default(option: dict[str, Any], tmp_path: Path) -> None:
    data = pictures(5)
    call = partial(stir_hf.invert, Net(), data, out=tmp_path, progress=False)
    continues(tmp_path, call, lambda: call(**option))


@pytest.mark.parametrize("option", DEFAULTS, ids=lambda option: next(iter(option)))
def test_an_option_at_its_default_changes_nothing(option: dict[str, Any], tmp_path: Path) -> None:
    check_default(option, tmp_path)


@pytest.mark.parametrize("option", NEW, ids=lambda option: next(iter(option)))
def test_a_new_option_at_its_default(option: dict[str, Any], tmp_path: Path) -> None:
    check_default(option, tmp_path)


def test_a_number_spelt_otherwise(tmp_path: Path) -> None:
    call = partial(inverted, Net(), pictures(5), tmp_path)
    continues(tmp_path, lambda: call(tolerance=1), lambda: call(tolerance=1.0))


# B7: files of later versions


@pytest.fixture(scope="module")
def result() -> StirResult:
    found: StirResult = compared(Net(), Net(1), pictures(5))
    return found


def test_a_result_with_an_unknown_field(result: StirResult, tmp_path: Path) -> None:
    edit(result.save(tmp_path), later={"a": 1})
    assert StirResult.load(tmp_path).scores == result.scores


@pytest.mark.parametrize("part", [None, "debiased", "relative_error"])
def test_a_score_with_an_unknown_field(
    part: str | None, result: StirResult, tmp_path: Path
) -> None:
    path = result.save(tmp_path)
    content = json.loads(path.read_text("utf-8"))
    for score in content["scores"]:
        (score if part is None else score[part])["later"] = [1, 2]
    path.write_text(json.dumps(content))
    assert StirResult.load(tmp_path).scores == result.scores


def test_a_record_with_an_unknown_field_is_read(tmp_path: Path) -> None:
    made = inverted(Net(), pictures(5), tmp_path)
    edit(sets(tmp_path)[0] / "inversions.json", later={"a": 1})
    assert_same(Inversions.load(tmp_path), made)
    assert stir_hf.score(Net(1), tmp_path, progress=False).scores[0].num_samples == 5


def test_a_record_with_an_unknown_field_is_continued(tmp_path: Path) -> None:
    data = pictures(5)
    made = inverted(Net(), data, tmp_path)
    edit(sets(tmp_path)[0] / "inversions.json", later={"a": 1})
    assert_same(inverted(Net(), data, tmp_path), made)


def test_a_later_format_is_refused_by_name(tmp_path: Path) -> None:
    inverted(Net(), pictures(5), tmp_path)
    edit(sets(tmp_path)[0] / "inversions.json", format=99)
    with pytest.raises(RequestError, match=r"format.*99"):
        Inversions.load(tmp_path)
