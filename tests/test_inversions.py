"""Inversion sets on disk: written in shards, continued, loaded, saved."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stir_hf import Inversions, RequestError, RunError
from stir_hf.data.inversions import check_complete
from stir_hf.data.shards import Writer, features
from stir_hf.inputs.images import to_array, to_png

RECIPE = {"reference": {"model": "m"}, "inversion": {"seed": 0}}


def pixels_of(index: int, channels: int = 3) -> NDArray[np.float32]:
    return np.random.default_rng(index).random((channels, 4, 5), dtype=np.float32)


def row(index: int, draw: int = 0, exact: bool = False) -> dict[str, Any]:
    inverted = pixels_of(index + 100)
    return {
        "index": index,
        "draw": draw,
        "image": to_png(pixels_of(index)),
        "inverted": inverted if exact else to_png(inverted),
        "relative_error": index / 8,
        "representation": [float(index), 1.0],
        "representation_inverted": [index / 2, 2.0],
    }


def writer(
    folder: Path, exact: bool = False, rank: int = 0, recipe: dict[str, Any] = RECIPE
) -> Writer:
    return Writer(folder, recipe, features((4, 5), 3, exact=exact, starts=False), rank)


def test_rows_come_back_sorted(tmp_path: Path) -> None:
    writer(tmp_path, rank=1).write([row(5), row(2, 1)])
    writer(tmp_path).write([row(2), row(9)])
    inversions = Inversions.load(tmp_path)
    assert inversions.index.tolist() == [2, 2, 5, 9]
    assert inversions.draw.tolist() == [0, 1, 0, 0]
    assert inversions.relative_error.tolist() == [0.25, 0.25, 0.625, 1.125]
    assert inversions.representation.tolist() == [[2, 1], [2, 1], [5, 1], [9, 1]]
    assert inversions.representation_inverted[:, 0].tolist() == [1, 1, 2.5, 4.5]
    assert inversions.image.shape == inversions.inverted.shape == (4, 3, 4, 5)
    assert inversions.label is None
    assert inversions.recipe == RECIPE


def test_a_writer_continues(tmp_path: Path) -> None:
    writer(tmp_path).write([row(1), row(0, 3)])
    assert writer(tmp_path).done() == {(1, 0), (0, 3)}
    writer(tmp_path).write([row(2)])
    assert writer(tmp_path).done() == {(1, 0), (0, 3), (2, 0)}
    assert len(list(tmp_path.glob("data-*.parquet"))) == 2


def test_what_a_kill_left_half_written_is_ignored(tmp_path: Path) -> None:
    writer(tmp_path).write([row(1)])
    (tmp_path / "data-0000-000001.partial").write_bytes(b"PAR1 half")
    assert writer(tmp_path).done() == {(1, 0)}
    writer(tmp_path).write([row(2)])
    assert Inversions.load(tmp_path).index.tolist() == [1, 2]


def test_a_write_that_fails_leaves_no_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError("no space left on device")

    there = writer(tmp_path)
    there.write([row(1)])
    monkeypatch.setattr("stir_hf.data.shards.pq.write_table", full)
    with pytest.raises(OSError, match="no space"):
        there.write([row(2)])
    assert there.done() == {(1, 0)}


def test_another_recipe_is_refused(tmp_path: Path) -> None:
    writer(tmp_path).write([row(1)])
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(RequestError, match="made otherwise"):
        writer(tmp_path, recipe={**RECIPE, "inversion": {"seed": 1}})
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


@pytest.mark.parametrize("exact", [False, True])
def test_save_and_load(tmp_path: Path, exact: bool) -> None:
    writer(tmp_path / "a", exact).write([row(i, exact=exact) for i in range(4)])
    one = Inversions.load(tmp_path / "a")
    again = Inversions.load(one.save(tmp_path / "b"))
    one.save(tmp_path / "b")
    assert len(Inversions.load(tmp_path / "b")) == 4
    assert again.recipe == one.recipe
    assert again.rows.features == one.rows.features
    assert np.array_equal(again.inverted, one.inverted)
    if exact:
        assert np.array_equal(one.inverted, np.stack([pixels_of(i + 100) for i in range(4)]))


def test_a_folder_of_several_sets(tmp_path: Path) -> None:
    for name in ("a", "b"):
        writer(tmp_path / "inversions" / name).write([row(1)])
    assert len(Inversions.load_all(tmp_path)) == 2
    with pytest.raises(RequestError, match="holds 2 inversion sets; give one: "):
        Inversions.load(tmp_path)
    with pytest.raises(RequestError, match=r"no inversions at .*did you mean inversions"):
        Inversions.load(tmp_path / "inversion")
    writer(tmp_path / "empty")
    with pytest.raises(RequestError, match="no finished inversions yet"):
        Inversions.load(tmp_path / "empty")


def test_exactly_what_was_asked_for(tmp_path: Path) -> None:
    there = writer(tmp_path)
    there.write([row(1), row(2)])
    check_complete(Inversions.load(tmp_path), {(1, 0), (2, 0)})
    for keys in ({(1, 0)}, {(1, 0), (2, 0), (3, 0)}, {(1, 0), (2, 1)}):
        with pytest.raises(RunError, match="not exactly"):
            check_complete(Inversions.load(tmp_path), keys)
    there.write([row(2)])
    with pytest.raises(RunError, match="holds 3 rows"):
        check_complete(Inversions.load(tmp_path), {(1, 0), (2, 0)})


@pytest.mark.parametrize("channels", [1, 3])
def test_eight_bits_are_kept_exactly(channels: int) -> None:
    levels = (
        np.random.default_rng(0)
        .permutation(np.arange(256 * channels) % 256)
        .reshape(channels, 16, 16)
    )
    pixels = levels.astype(np.float32) / np.float32(255)
    assert np.array_equal(to_array(to_png(pixels)), pixels)
    assert to_png(pixels).mode == ("L" if channels == 1 else "RGB")


def test_batches_cover_the_set(tmp_path: Path) -> None:
    writer(tmp_path).write([row(i) for i in range(7)])
    batches = list(Inversions.load(tmp_path).batches(3))
    assert [i for batch in batches for i in batch] == list(range(7))
    assert [len(batch) for batch in batches] == [3, 3, 1]
