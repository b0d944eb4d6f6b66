"""Sets and parts whose files are of other releases: columns and bytes that differ."""

import errno
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest

from stir_hf import Inversions, RequestError
from tests.data.test_folders_that_change import (
    LABELS,
    cut,
    labelled,
    reencoded,
)
from tests.tiny import Net, dataset_of, inverted, noise_images


def without_file_hash(out: Path) -> None:
    """Make the files under a folder what they were before that column existed."""
    import pyarrow.parquet as pq

    for path in [p for p in out.rglob("*.parquet") if p.name != "sources.parquet"]:
        rows = datasets.Dataset(pq.read_table(path)).remove_columns("file_hash")
        pq.write_table(rows.data.table, path, write_page_checksum=True)


def test_where_the_bytes_are_not_known_some_images_are_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stir_hf.data.identity import order_of
    from stir_hf.data.sources.canvases import Canvases

    images = noise_images(100)
    inverted(Net(), images, tmp_path, steps=1)
    without_file_hash(tmp_path)
    looked: list[list[int]] = []
    check = Canvases.check_again

    def told(self: Canvases, positions: Any, hashes: Any) -> None:
        looked.append(list(positions))
        check(self, positions, hashes)

    monkeypatch.setattr(Canvases, "check_again", told)
    assert len(inverted(Net(), images, tmp_path, steps=1)) == 100
    (positions,) = looked
    assert len(set(positions)) == len(positions) == 64
    assert (positions[0], positions[-1], int(np.diff(positions).max())) == (0, 99, 2)
    images[int(order_of(100, 100)[99])] = noise_images(1, seed=9)[0]
    with pytest.raises(RequestError, match="has changed since"):
        inverted(Net(), images, tmp_path, steps=1)


def two_parts(data: Any, tmp_path: Path, number: int = 12) -> list[Path]:
    for part in ("1", "2"):
        inverted(Net(), data, tmp_path / part, part=f"{part}/2", num_samples=number)
    return [tmp_path / "1", tmp_path / "2"]


@pytest.mark.parametrize("older", ["1", "2"])
def test_parts_of_before_a_column_are_joined(older: str, tmp_path: Path) -> None:
    from stir_hf.data.sets.parts import merge

    images = noise_images(12)
    parts = two_parts(labelled(images, 0), tmp_path)
    without_file_hash(tmp_path / older)
    for path in (tmp_path / older).rglob("sources.parquet"):
        path.unlink()
    merge(parts, tmp_path / "joined")
    made = Inversions.load(tmp_path / "joined")
    assert (len(made), made.features["label"]) == (12, LABELS)
    assert made.label is not None
    assert made.label.tolist() == [i % 5 for i in range(12)]
    kept = made.stored.values("file_hash", np.arange(12))
    assert sum(one is None for one in kept) == 6
    assert len(made.to_dataset()) == 12
    assert len(inverted(Net(), labelled(images, 0), tmp_path / "joined")) == 12


def test_a_merge_that_fails_leaves_the_folder_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stir_hf.data.sets import parts as joining

    parts = two_parts(noise_images(12), tmp_path)
    (broken,) = parts[1].rglob("data-*.parquet")
    held = broken.read_bytes()

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for first in ([], parts[:1]):
        if first:
            joining.merge(first, tmp_path / "joined")
        before = {p: p.read_bytes() for p in (tmp_path / "joined").rglob("*.*") if p.is_file()}
        with monkeypatch.context() as patch:
            patch.setattr(joining, "compact", full)
            with pytest.raises(OSError, match="No space left"):
                joining.merge(parts, tmp_path / "joined")
        cut(broken)
        with pytest.raises(RequestError, match=f"2/.*{broken.name} is broken"):
            joining.merge(parts, tmp_path / "joined")
        broken.write_bytes(held)
        after = {p: p.read_bytes() for p in (tmp_path / "joined").rglob("*.*") if p.is_file()}
        assert {p for p in before if p.suffix == ".parquet"} == {
            p for p in after if p.suffix == ".parquet"
        }
        assert all(after[p] == held for p, held in before.items() if "lock" not in p.name)
    joining.merge(parts, tmp_path / "joined")
    assert len(Inversions.load(tmp_path / "joined")) == 12


def test_parts_of_the_same_pixels_in_other_bytes_are_joined(tmp_path: Path) -> None:
    """Another release of Pillow or zlib encodes a list of images otherwise."""
    images = noise_images(12)
    for part, data in (("1", dataset_of(images)), ("2", reencoded(images))):
        inverted(Net(), data, tmp_path / part, part=f"{part}/2")
    made = Inversions.load([tmp_path / "1", tmp_path / "2"])
    whole = inverted(Net(), images)
    np.testing.assert_array_equal(made.inverted[:], whole.inverted[:])


def test_what_a_part_records_is_decoded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stir_hf.data.sources.canvases import Canvases

    images = noise_images(12)
    inverted(Net(), images, tmp_path, part="1/2")
    for path in tmp_path.rglob("data-*.parquet"):
        path.unlink()
    monkeypatch.setattr(Canvases, "hash_at", lambda *_: pytest.fail("decoded again"))
    assert len(inverted(Net(), images, tmp_path, part="1/2")) == 6


def test_parts_of_files_with_other_bytes_are_refused(tmp_path: Path) -> None:
    for part, level in (("1", 1), ("2", 9)):
        (tmp_path / f"data-{part}").mkdir()
        for i, image in enumerate(noise_images(6)):
            image.save(tmp_path / f"data-{part}" / f"{i}.png", compress_level=level)
        inverted(Net(), tmp_path / f"data-{part}", tmp_path / part, part=f"{part}/2")
    with pytest.raises(RequestError, match="has other bytes"):
        Inversions.load([tmp_path / "1", tmp_path / "2"])
