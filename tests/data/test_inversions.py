"""Inversion sets on disk: rows in parts, compacted, healed, read back from disk, a prefix at a
time.
"""

import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from stir_hf import Inversions, RequestError
from stir_hf.data.files import shards
from stir_hf.data.files.columns import features
from stir_hf.data.files.rows import Rows
from stir_hf.data.identity import array_hash, order_of
from stir_hf.data.sets.choice import SetConfig, choose, of_hashes, on_common_originals
from stir_hf.data.sets.export import columns, export, row_digests
from stir_hf.data.sets.located import find_sets
from stir_hf.data.sets.manifest import Manifest
from stir_hf.inputs.images import ImageKind, to_array, to_png
from tests.data.by_hand import NAMES, how, identity

KIND = ImageKind("RGB", (4, 5))
ROWS = 9
ORDER = order_of(ROWS, ROWS).tolist()


TOLERANCE = 2.0
"""An error that every row of these has."""


def manifest(
    seed: int = 0, complete: tuple[int, int] | None = None, exact: bool = False
) -> Manifest:
    made = identity(KIND.spelling(), ROWS, seed, TOLERANCE, exact)
    done = None if complete is None else {"num_samples": complete[0], "draws": complete[1]}
    return Manifest(made, [1.0, 2.0], "0" * 16, NAMES, done)


def pixels_of(index: int) -> NDArray[np.float32]:
    return np.random.default_rng(index).random((3, 4, 5), dtype=np.float32)


def error_of(index: int) -> float:
    """The relative distance of (i / 2, 2) from (i, 1)."""
    return math.hypot(index / 2, 1) / math.hypot(index, 1)


def row(
    index: int, draw: int = 0, status: str = "converged", exact: bool = False
) -> dict[str, Any]:
    inverted, original = pixels_of(index + 100), to_png(pixels_of(index))
    if status in ("not_finite", "unreadable"):
        return {"index": index, "draw": draw, "status": status}
    return {
        "index": index,
        "draw": draw,
        "status": status,
        "canvas_hash": array_hash(np.asarray(original).transpose(2, 0, 1)),
        "image": original,
        "inverted": inverted if exact else to_png(inverted),
        "relative_error": error_of(index),
        "representation": [float(index), 1.0],
        "representation_inverted": [index / 2, 2.0],
    }


def write(folder: Path, *portions: list[dict[str, Any]], exact: bool = False) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for rows in portions:
        shards.append(folder, rows, features(KIND, exact))


def a_set(folder: Path, count: int, draws: int = 1, exact: bool = False) -> Inversions:
    """The first `count` images, written in two parts, in reverse order."""
    rows = [row(i, d, exact=exact) for i in ORDER[:count] for d in range(draws)][::-1]
    write(folder, rows[:3], rows[3:], exact=exact)
    manifest(complete=(count, draws), exact=exact).write(folder)
    return Inversions.load(folder)


def test_rows_come_back_sorted(tmp_path: Path) -> None:
    found = a_set(tmp_path, 4, draws=2)
    expected = sorted(ORDER[:4])
    assert found.index.tolist() == [i for i in expected for _ in range(2)]
    assert found.draw.tolist() == [0, 1] * 4
    errors = [error_of(i) for i in expected for _ in range(2)]
    np.testing.assert_allclose(found.relative_error, errors, rtol=1e-6)
    assert found.representation.tolist() == [[i, 1] for i in expected for _ in range(2)]
    assert found.representation_inverted[::2].tolist() == [[i / 2, 2] for i in expected]
    for place, index in enumerate(expected):
        np.testing.assert_array_equal(found.image[2 * place], to_array(to_png(pixels_of(index))))
    assert found.image.shape == found.inverted.shape == (8, 3, 4, 5)
    assert found.label is None
    assert len(found.to_dataset()) == 8


@pytest.mark.parametrize("exact", [False, True])
def test_save_and_load(tmp_path: Path, exact: bool) -> None:
    one = a_set(tmp_path / "a", 5, exact=exact)
    again = Inversions.load(one.save(tmp_path / "b"))
    one.save(tmp_path / "b")
    assert len(Inversions.load(tmp_path / "b")) == 5
    assert again.manifest == one.manifest
    assert again.features == one.features
    assert np.array_equal(again.inverted, one.inverted)
    if exact:
        assert np.array_equal(one.inverted, np.stack([pixels_of(i + 100) for i in one.index]))
    manifest(seed=1, complete=(5, 1)).write(tmp_path / "c")
    with pytest.raises(RequestError, match="of other models, data or options"):
        one.save(tmp_path / "c")


def test_a_write_that_fails_leaves_no_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError("no space left on device")

    write(tmp_path, [row(1)])
    before = sorted(tmp_path.iterdir())
    monkeypatch.setattr("stir_hf.data.files.shards.pq.write_table", full)
    with pytest.raises(OSError, match="no space"):
        write(tmp_path, [row(2)])
    assert sorted(tmp_path.iterdir()) == before


def keys(folder: Path) -> list[tuple[int, int]]:
    rows = Rows(shards.files_of(folder))
    return sorted(zip(*(column.tolist() for column in rows.columns("index", "draw")), strict=True))


def test_compaction_joins_the_parts_and_can_be_repeated(tmp_path: Path) -> None:
    write(tmp_path, *([row(i)] for i in range(7)))
    (tmp_path / ".part-x.12345678.partial").write_bytes(b"PAR1 half")
    shards.compact(tmp_path)
    names = sorted(p.name for p in tmp_path.iterdir())
    assert len(names) == 1
    assert names[0].startswith("data-")
    assert keys(tmp_path) == [(i, 0) for i in range(7)]
    shards.compact(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == names
    write(tmp_path, [row(7)], [row(8)])
    shards.compact(tmp_path)
    assert keys(tmp_path) == [(i, 0) for i in range(9)]
    assert len(list(tmp_path.iterdir())) == 1


def test_full_shards_are_left_alone(tmp_path: Path) -> None:
    write(tmp_path, *([row(i) for i in range(n, n + 70)] for n in range(0, 280, 70)))
    shards.compact(tmp_path, shard_bytes=20_000)
    first = {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
    assert len(first) > 1
    write(tmp_path, [row(i) for i in range(280, 300)])
    shards.compact(tmp_path, shard_bytes=20_000)
    kept = {name for name in first if (tmp_path / name).exists()}
    assert kept
    assert all((tmp_path / name).stat().st_mtime_ns == first[name] for name in kept)
    assert keys(tmp_path) == [(i, 0) for i in range(300)]


@pytest.mark.parametrize("moment", range(3))
def test_a_kill_while_shards_are_compacted_does_no_harm(
    tmp_path: Path, moment: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, *([row(i)] for i in ORDER[:6]))
    manifest(complete=(6, 1)).write(tmp_path)
    calls, unlink = 0, Path.unlink

    def killed(path: Path, missing_ok: bool = False) -> None:
        nonlocal calls
        calls += 1
        if calls > 2 * moment:
            raise KeyboardInterrupt
        unlink(path, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            shards.compact(tmp_path)
    assert len(Inversions.load(tmp_path)) == 6
    shards.compact(tmp_path)
    assert keys(tmp_path) == sorted((i, 0) for i in ORDER[:6])


def test_rows_that_are_there_twice_are_taken_once(tmp_path: Path) -> None:
    a_set(tmp_path, 5)
    write(tmp_path, [row(ORDER[0]), row(ORDER[3])])
    assert len(Inversions.load(tmp_path)) == 5
    shards.compact(tmp_path)
    assert len(keys(tmp_path)) == 5


def test_a_prefix_is_what_a_smaller_run_would_have_given(tmp_path: Path) -> None:
    whole, small = a_set(tmp_path / "a", 8, draws=2), a_set(tmp_path / "b", 5)
    part = whole.prefix(5, 1)
    assert part.index.tolist() == small.index.tolist()
    assert (part.num_samples, part.draws) == (5, 1)
    assert np.array_equal(part.inverted, small.inverted)
    assert whole.prefix() is whole
    with pytest.raises(RequestError, match="8 of 9 inversions"):
        whole.prefix(9, 1)
    with pytest.raises(RequestError, match=r"10 images requested, but the split of .* has 9"):
        whole.prefix(10)


def test_what_is_not_finished_is_not_read(tmp_path: Path) -> None:
    write(tmp_path, [row(i) for i in ORDER[:3]])
    manifest().write(tmp_path)
    with pytest.raises(RequestError, match="no finished inversions yet"):
        Inversions.load(tmp_path)
    manifest(complete=(4, 1)).write(tmp_path)
    with pytest.raises(RequestError, match="holds 3 of 4 inversions"):
        Inversions.load(tmp_path)


def test_images_that_failed_are_left_out_and_named(tmp_path: Path) -> None:
    rows = [row(i) for i in ORDER[:4]]
    rows[1] = row(ORDER[1], status="unreadable")
    rows[3] = row(ORDER[3], status="not_finite")
    write(tmp_path, rows)
    manifest(complete=(4, 1)).write(tmp_path)
    found = Inversions.load(tmp_path)
    assert found.index.tolist() == sorted([ORDER[0], ORDER[2]])
    assert found.left_out == {ORDER[1]: "unreadable", ORDER[3]: "not_finite"}
    assert found.num_samples == 4


def test_sets_are_judged_on_the_images_they_share(tmp_path: Path) -> None:
    one = a_set(tmp_path / "a", 6)
    other = one.restrict_to(set(ORDER[1:4]))
    assert [s.index.tolist() for s in on_common_originals([one, other])] == [sorted(ORDER[1:4])] * 2
    np.testing.assert_array_equal(other.image, one.image[np.isin(one.index, ORDER[1:4])])


def test_sets_of_several_methods_or_starts_stand_in_no_table_together(tmp_path: Path) -> None:
    one = a_set(tmp_path / "inversions" / "a", 3)
    for other in (how("smooth", "noise"), how("adam-polyak", "grey")):
        folder = tmp_path / "inversions" / "b"
        a_set(folder, 3)
        identity = {**one.manifest.identity, "engine": {**one.manifest.identity["engine"], **other}}
        replace(one.manifest, identity=identity).write(folder)
        (name,) = [n for n in other if other[n] != one.manifest.identity["engine"][n]]
        said = (
            rf"the inversion sets differ in {name}: .* \(a\), {other[name]['name']} \(b\); their"
            r" scores are different estimates and cannot be compared; choose one set with --set"
        )
        with pytest.raises(RequestError, match=said):
            choose(tmp_path, SetConfig())
        with pytest.raises(RequestError, match=said):
            choose(Inversions.load_all(tmp_path), SetConfig())
        assert len(choose(tmp_path, SetConfig(set="b"))) == 1


def test_an_option_that_only_one_set_has_is_named(tmp_path: Path) -> None:
    one = a_set(tmp_path / "inversions" / "a", 3)
    a_set(tmp_path / "inversions" / "b", 3)
    identity = {**one.manifest.identity, "engine": {**one.manifest.identity["engine"], "more": 2}}
    replace(one.manifest, identity=identity).write(tmp_path / "inversions" / "b")
    with pytest.raises(RequestError, match=r"differ in more: unset \(a\), 2 \(b\); their"):
        choose(tmp_path, SetConfig())


def test_the_sets_of_a_result_are_found_beside_others(tmp_path: Path) -> None:
    one = a_set(tmp_path / "inversions" / "a", 3)
    manifest(seed=1).write(tmp_path / "inversions" / "unfinished")
    assert [s.path for s in of_hashes(tmp_path, {one.manifest.hash[:16]})] == [one.path]


def test_a_folder_of_several_sets(tmp_path: Path) -> None:
    for name in ("a", "b"):
        a_set(tmp_path / "inversions" / name, 3)
    assert [s.path.name for s in Inversions.load_all(tmp_path)] == ["a", "b"]
    assert [s.path.name for s in choose(tmp_path, SetConfig(set="b"))] == ["b"]
    assert [len(s) for s in choose(tmp_path, SetConfig(num_samples=2))] == [2, 2]
    with pytest.raises(RequestError, match=r"no inversion set 'c' in .*; there are: a, b"):
        choose(tmp_path, SetConfig(set="c"))
    with pytest.raises(RequestError, match="holds 2 inversion sets; give one: "):
        Inversions.load(tmp_path)
    with pytest.raises(
        RequestError, match=r"no such folder of inversions: .*did you mean inversions"
    ):
        find_sets(tmp_path / "inversion")


def test_only_what_is_asked_for_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = a_set(tmp_path, 6)
    read: list[str] = []
    original = pq.ParquetFile.iter_batches

    def counted(self: Any, *size: int, columns: Any = None, **more: Any) -> Any:
        read.extend(columns)
        return original(self, *size, columns=columns, **more)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", counted)
    assert len(found.index) == len(found.relative_error) == len(found.converged)
    assert read == []
    found.values("inverted", [0, 1])
    assert set(read) == {"inverted"}


def test_batches_cover_the_set_in_the_order_of_the_files(tmp_path: Path) -> None:
    found = a_set(tmp_path, 7)
    batches = list(found.batches(3))
    assert [len(batch) for batch in batches] == [3, 3, 1]
    assert sorted(i for batch in batches for i in batch) == list(range(7))
    there = Rows(shards.files_of(tmp_path)).columns("index")[0].tolist()
    assert [found.index[i] for batch in batches for i in batch] == there


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_eight_bits_are_kept_exactly(mode: Any, tmp_path: Path) -> None:
    channels = 1 if mode == "L" else 3
    levels = np.arange(256 * channels) % 256
    pixels = np.random.default_rng(0).permutation(levels).reshape(channels, 16, 16)
    values = pixels.astype(np.float32) / np.float32(255)
    assert np.array_equal(to_array(to_png(values)), values)
    assert to_png(values).mode == mode


def test_memory_does_not_hold_the_pixels(tmp_path: Path) -> None:
    found = a_set(tmp_path, 9)
    held = [v for v in vars(found).values() if isinstance(v, np.ndarray)]
    assert sum(v.nbytes for v in held) < 9 * 200
    assert os.listdir(tmp_path)


@pytest.mark.parametrize("exact", [False, True], ids=["png", "exact"])
def test_what_a_row_holds_does_not_depend_on_its_place(tmp_path: Path, exact: bool) -> None:
    for name, portions in (("a", ORDER[:6]), ("b", ORDER[:6][::-1])):
        write(tmp_path / name, [row(i, exact=exact) for i in portions], exact=exact)
        manifest(complete=(6, 1), exact=exact).write(tmp_path / name)
    made = [export(tmp_path / name, tmp_path / f"{name}-out") for name in "ab"]
    digests = [row_digests(files) for files in made]
    assert digests[0] == digests[1]
    assert len(set(digests[0].values())) == 6
    assert made[0][0].name != made[1][0].name
    again = export(tmp_path / "a", tmp_path / "again")
    assert [path.name for path in again] == [path.name for path in made[0]]
    (tmp_path / "c").mkdir()
    write(tmp_path / "c", [row(i, exact=exact) for i in ORDER[:8]], exact=exact)
    manifest(complete=(6, 1), exact=exact).write(tmp_path / "c")
    bare = export(tmp_path / "c", tmp_path / "c-out", without_images=True)
    assert row_digests(bare) == digests[0]
    assert "image" not in columns(bare[0])


def test_an_object_is_shown_in_one_line(tmp_path: Path) -> None:
    found = a_set(tmp_path, 5)
    assert repr(found) == (
        "Inversions(reference='lab/model', layer='output', dataset='lab/images', num_samples=5,"
        f" draws=1, rows=5, path={str(tmp_path)!r})"
    )


def test_folders_of_several_sets_are_refused_with_their_names(tmp_path: Path) -> None:
    for name in ("one", "two"):
        for part in ("a", "b"):
            a_set(tmp_path / part / "inversions" / name, 3)
    with pytest.raises(RequestError, match=r"a holds 2 inversion sets \(one, two\); give the") as e:
        Inversions.load([tmp_path / "a", tmp_path / "b"])
    assert str(e.value).endswith(f"such as {tmp_path / 'a' / 'inversions' / 'one'}")
    parts = [tmp_path / part / "inversions" / "two" for part in ("a", "b")]
    assert len(Inversions.load(parts)) == 3
    with pytest.raises(RequestError, match="no folders; give those of the parts of one set"):
        Inversions.load([])
