"""Inversion sets that grow, are cut short, are scored in part, and tell what made them."""

import copy
import json
import re
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stir_hf
from stir_hf import Inversions, RequestError, load_encoder
from tests.conftest import TinyModels
from tests.tiny import (
    Net,
    Watched,
    assert_same,
    compared,
    inverted,
    judged,
    picture_folder,
    pictures,
    record,
    rows,
    sets,
)


def by_key(inversions: Inversions) -> dict[tuple[int, int], tuple[float, bytes]]:
    """(index, draw) -> what was made of it."""
    keys = zip(inversions.index.tolist(), inversions.draw.tolist(), strict=True)
    values = zip(inversions.relative_error, np.asarray(inversions.inverted), strict=True)
    return {key: (float(e), image.tobytes()) for key, (e, image) in zip(keys, values, strict=True)}


# Identity, point 4: a set grows


def test_more_images_later_are_the_same_set(tmp_path: Path) -> None:
    call = partial(inverted, Net(), pictures(12), tmp_path)
    few = by_key(call(num_samples=6))
    many = by_key(call(num_samples=10))
    assert (len(few), len(many)) == (6, 10)
    assert few.items() <= many.items()
    assert len(sets(tmp_path)) == 1


def test_more_draws_later_are_the_same_set(tmp_path: Path) -> None:
    call = partial(inverted, Net(), pictures(5), tmp_path)
    few, many = by_key(call(draws=1)), by_key(call(draws=2))
    assert (len(few), len(many)) == (5, 10)
    assert few.items() <= many.items()
    assert len(sets(tmp_path)) == 1


def test_fewer_images_later_are_there_already(tmp_path: Path) -> None:
    call = partial(inverted, Net(), pictures(12), tmp_path)
    many = by_key(call(num_samples=10))
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.parquet")}
    few = by_key(call(num_samples=6))
    assert len(few) == 6
    assert few.items() <= many.items()
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.parquet")} == before


def cut_short(net: Watched, out: Path, **options: Any) -> None:
    """Ten images asked for, the work interrupted after the first two of them."""
    net.seen, net.fuse = [], 30
    with pytest.raises(KeyboardInterrupt):
        inverted(net, pictures(12), out, num_samples=10, **options)
    net.fuse = None


PAPER: dict[str, Any] = {"method": "paper", "steps": 20, "batch_size": 2}
"""Every image takes exactly 20 passes."""


def test_an_interrupted_set_is_not_scored(tmp_path: Path) -> None:
    net = Watched()
    cut_short(net, tmp_path, **PAPER)
    assert 0 < len(rows(tmp_path)) < 10
    with pytest.raises(RequestError):
        judged(Net(1), tmp_path)
    assert len(inverted(net, pictures(12), tmp_path, num_samples=10, **PAPER)) == 10
    assert judged(Net(1), tmp_path).num_samples == 10


def test_a_continuation_cut_short_is_scored_as_what_was_complete(tmp_path: Path) -> None:
    net, data = Watched(), pictures(12)
    expected = judged(Net(1), inverted(net, data, tmp_path, num_samples=6, **PAPER))
    cut_short(net, tmp_path, **PAPER)
    found = judged(Net(1), tmp_path)
    assert found.num_samples == 6
    assert found.stir == pytest.approx(expected.stir, abs=1e-5)


def test_a_smaller_prefix_scores_as_a_run_of_that_size(tmp_path: Path) -> None:
    call = partial(inverted, Net(), pictures(12))
    large = call(tmp_path / "large", num_samples=10, draws=2)
    small = call(tmp_path / "small", num_samples=6, draws=1)
    expected, found = judged(Net(1), small), judged(Net(1), large, num_samples=6, draws=1)
    assert found.num_samples == 6
    for name in ("stir", "similarity", "floor", "ceiling"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), abs=1e-5)


@pytest.mark.parametrize("more", [{"num_samples": 7}, {"draws": 2}], ids=["images", "draws"])
def test_more_than_there_is_cannot_be_scored(more: dict[str, int], tmp_path: Path) -> None:
    inversions = inverted(Net(), pictures(12), tmp_path, num_samples=6)
    with pytest.raises(RequestError, match=r"\b6\b" if "num_samples" in more else r"\b1\b"):
        judged(Net(1), inversions, **more)


def test_the_record_names_its_format_and_what_is_complete(tmp_path: Path) -> None:
    inverted(Net(), pictures(12), tmp_path, num_samples=6)
    found = record(tmp_path)
    assert found["format"] == 2
    assert found["complete"] == {"num_samples": 6, "draws": 1}
    assert "identity" in found


def test_a_score_records_the_hash_of_its_set(tmp_path: Path) -> None:
    inversions = inverted(Net(), pictures(6), tmp_path)
    found = re.search(r"[0-9a-f]{16}$", sets(tmp_path)[0].name)
    assert found is not None
    result = stir_hf.score(Net(1), inversions, progress=False)
    assert found[0] in json.dumps(result.to_dict())


# Identity, point 5: the data


def test_the_index_is_the_row_before_slicing(tmp_path: Path) -> None:
    data = str(picture_folder(tmp_path / "data", 12))
    found = inverted(Net(), data, split="train[4:10]", num_samples=5)
    assert set(found.index.tolist()) < set(range(4, 10))


def test_a_score_from_a_stream_says_so() -> None:
    stream = pictures(8).to_iterable_dataset()
    for score in compared(Net(), Net(1), stream, num_samples=6).scores:
        assert any("first 6" in note for note in score.notes)


def test_rows_have_a_hash_and_a_status(tmp_path: Path) -> None:
    inverted(Net(), pictures(6), tmp_path, draws=2, steps=60, tolerance=0.1, method="paper")
    found = rows(tmp_path)
    assert len(found) == 12
    hashes = {(row["index"], row["canvas_hash"]) for row in found}
    assert len(hashes) == len({h for _, h in hashes}) == 6
    assert all(re.fullmatch("[0-9a-f]{16}", h) for _, h in hashes)
    for row in found:
        assert row["status"] == ("converged" if row["relative_error"] <= 0.1 else "max_steps")


# Identity, points 6, 7 and 9: networks of equal identity, rows twice, names


@pytest.mark.parametrize("form", ["folder", "module"])
def test_a_network_is_compared_with_itself(
    form: str, tiny_models: TinyModels, tmp_path: Path
) -> None:
    model = tiny_models.vit if form == "folder" else Net()
    data = pictures(5, side=32 if form == "folder" else 8)
    result = compared(model, model, data, out=tmp_path)
    assert len(result.scores) == 2
    for score in result.scores:
        assert score.stir == pytest.approx(score.ceiling, abs=1e-5)
        assert any("same" in note for note in score.notes)
    assert len(sets(tmp_path)) == 1


def test_two_modules_of_equal_weights_share_a_set(tmp_path: Path) -> None:
    net = Net()
    compared(net, copy.deepcopy(net), pictures(5), out=tmp_path)
    assert len(sets(tmp_path)) == 1


def test_rows_that_are_there_twice_heal(tmp_path: Path) -> None:
    call = partial(inverted, Net(), pictures(6), tmp_path, batch_size=3)
    made = call()
    shard = sorted(tmp_path.rglob("*.parquet"))[0]
    shutil.copy(shard, shard.with_name(f"{shard.stem}7.parquet"))
    assert_same(Inversions.load(tmp_path), made)
    assert judged(Net(1), tmp_path).num_samples == 6
    assert_same(call(), made)


def test_what_is_local_stays_local(tiny_models: TinyModels, tmp_path: Path) -> None:
    home = tmp_path / "ada-lovelace"
    models = [
        shutil.copytree(m, home / Path(m).name) for m in (tiny_models.vit, tiny_models.resnet)
    ]
    data = picture_folder(home / "photos", 5, side=32)
    result = compared(str(models[0]), str(models[1]), str(data), out=home / "out")
    for score in result.scores:
        assert re.fullmatch(r"(vit|resnet)#[0-9a-f]{8}", score.model)
        assert re.fullmatch(r"(vit|resnet)#[0-9a-f]{8}", score.reference)
    records = [(s / "inversions.json").read_text("utf-8") for s in sets(home)]
    assert len(records) == 2
    assert all(re.search(r'"photos#[0-9a-f]{8}"', text) for text in records)
    for text in [*records, (home / "out" / "result.json").read_text("utf-8")]:
        assert "ada-lovelace" not in text
        assert str(tmp_path) not in text


def test_stored_images_do_not_name_their_files(tmp_path: Path) -> None:
    data = picture_folder(tmp_path / "ada-lovelace", 5)
    inverted(Net(), str(data), tmp_path / "out")
    assert all("/" not in (row["image"]["path"] or "") for row in rows(tmp_path))


def test_a_name_that_was_given_is_what_results_show(tiny_models: TinyModels) -> None:
    data = pictures(5, side=32)
    named = load_encoder(tiny_models.vit, name="mine")
    result = compared(named, tiny_models.resnet, data)
    assert (result.scores[0].model, result.scores[1].reference) == ("mine", "mine")
