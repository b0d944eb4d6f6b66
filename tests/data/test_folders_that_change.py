"""A set whose folder changes after it was loaded, and data that changes after it was inverted."""

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from PIL import Image

import stir_hf
from stir_hf import Inversions, RequestError
from stir_hf.data.files import shards
from stir_hf.data.sets.export import export
from stir_hf.data.sets.manifest import Manifest
from tests.data.test_inversions import ORDER, a_set, manifest, pixels_of, row, write
from tests.tiny import Net, dataset_of, inverted, judged, noise_images, rows, sets


def grown(folder: Path) -> Inversions:
    """A set of four images that was loaded before a run made it one of seven and compacted it: its
    rows lie in another order.
    """
    found = a_set(folder, 4)
    write(folder, [row(i) for i in ORDER[4:7]])
    for path in sorted(folder.glob("part-*")):
        path.rename(path.with_name(f"part-{'fedcba'[len(path.name) % 6]}{path.name[5:]}"))
    shards.compact(folder)
    manifest(complete=(7, 1)).write(folder)
    return found


def test_rows_are_those_that_were_loaded_whatever_the_folder_became(tmp_path: Path) -> None:
    found = grown(tmp_path)
    assert found.index.tolist() == sorted(ORDER[:4])
    expected = np.stack([np.rint(pixels_of(i + 100) * 255) for i in found.index])
    np.testing.assert_array_equal(np.rint(found.inverted[:] * 255), expected)
    assert found.representation[:, 0].tolist() == found.index.tolist()
    hashes = [row(i)["canvas_hash"] for i in found.index]
    assert found.stored.values("canvas_hash", np.arange(4)) == hashes
    assert found.to_dataset()["index"] == found.index.tolist()
    some = found.restrict_to({int(found.index[1])})
    assert some.representation[:, 0].tolist() == some.index.tolist()


def test_a_shard_that_was_put_before_the_others_moves_no_row(tmp_path: Path) -> None:
    """Names of shards are drawn at random, and files are read in the order of their names."""
    found = a_set(tmp_path, 4)
    write(tmp_path / "other", [row(i) for i in ORDER[4:7]])
    (more,) = (tmp_path / "other").glob("*.parquet")
    shutil.copy(more, tmp_path / "data-00.parquet")
    assert found.representation[:, 0].tolist() == found.index.tolist()


def other_error(folder: Path) -> None:
    for path in folder.glob("*.parquet"):
        path.unlink()
    write(folder, [{**row(i), "relative_error": 0.5} for i in ORDER[:4]])


def fewer(folder: Path) -> None:
    for path in folder.glob("*.parquet"):
        path.unlink()
    write(folder, [row(i) for i in ORDER[:3]])


def empty(folder: Path) -> None:
    shutil.rmtree(folder)


@pytest.mark.parametrize("change", [other_error, fewer, empty])
def test_rows_that_are_gone_are_refused(change: Callable[[Path], None], tmp_path: Path) -> None:
    found = a_set(tmp_path / "set", 4)
    change(tmp_path / "set")
    with pytest.raises(RequestError, match=r"set does not hold the inversions any more .*load it"):
        found.representation  # noqa: B018 - it is read from disk


def test_a_file_that_was_replaced_under_its_name_is_seen(tmp_path: Path) -> None:
    found = a_set(tmp_path, 4)
    for path in tmp_path.glob("*.parquet"):
        path.unlink()
        write(tmp_path, [row(i) for i in reversed(ORDER[:4])])
    for path in tmp_path.glob("*.parquet"):
        path.rename(tmp_path / "part-0.parquet")
    assert found.representation[:, 0].tolist() == found.index.tolist()


def test_a_run_that_continues_leaves_earlier_objects_as_they_were(tmp_path: Path) -> None:
    images = noise_images(9)
    made = [inverted(Net(), images, tmp_path, num_samples=n) for n in (4, 7, 9)]
    alone = [inverted(Net(), images, num_samples=n) for n in (4, 7, 9)]
    for one, expected in zip(made, alone, strict=True):
        np.testing.assert_array_equal(one.image[:], expected.image[:])
        np.testing.assert_array_equal(one.inverted[:], expected.inverted[:])
        assert judged(Net(1), one).stir == pytest.approx(judged(Net(1), expected).stir, abs=1e-9)


def test_what_is_saved_or_sent_is_whole_while_a_run_compacts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, listed = a_set(tmp_path / "set", 6), shards.files_of
    told = iter([True])

    def compacted_after(folder: Path) -> list[Path]:
        files = listed(folder)
        if next(told, False):
            shards.compact(tmp_path / "set")
        return files

    for name in ("parts", "export"):
        monkeypatch.setattr(f"stir_hf.data.sets.{name}.files_of", compacted_after)
    copy = found.save(tmp_path / "copy")
    assert len(Inversions.load(copy)) == 6
    told = iter([True])
    write(tmp_path / "set", [row(ORDER[0])])
    assert len(export(tmp_path / "set", tmp_path / "sent")) == 1


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-50])


def flipped(path: Path) -> None:
    """One bit of a page, which Parquet decodes to something else without a checksum."""
    data = bytearray(path.read_bytes())
    place = data.index(b"max_steps") + 3
    data[place] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("broken", [cut, flipped])
def test_a_part_that_is_broken_is_named(broken: Callable[[Path], None], tmp_path: Path) -> None:
    images = noise_images(5)
    inverted(Net(), images, tmp_path, num_samples=4)
    (folder,) = sets(tmp_path)
    write_uncompressed(folder)
    (path,) = folder.glob("*.parquet")
    broken(path)
    with pytest.raises(RequestError, match=rf"{path.name} is broken: .*remove it"):
        inverted(Net(), images, tmp_path)
    with pytest.raises(RequestError, match=rf"{path.name} is broken: "):
        Inversions.load(folder)
    path.unlink()
    assert len(inverted(Net(), images, tmp_path)) == 5


def write_uncompressed(folder: Path) -> None:
    import pyarrow.parquet as pq

    for path in folder.glob("*.parquet"):
        table = pq.read_table(path)
        how: Any = {"compression": "none", "use_dictionary": False, "write_statistics": False}
        pq.write_table(table, path, write_page_checksum=True, **how)


def test_shards_have_checksums(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    a_set(tmp_path, 4)
    shards.compact(tmp_path)
    (path,) = tmp_path.glob("data-*.parquet")
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        assert file.read().num_rows == 4


LABELS = datasets.ClassLabel(names=list("abcde"))


def labelled(images: list[Image.Image], shift: int) -> datasets.Dataset:
    labels = [(i + shift) % 5 for i in range(len(images))]
    return dataset_of(images).add_column("label", labels).cast_column("label", LABELS)  # type: ignore[no-any-return]  # datasets has half of the types


def test_labels_are_those_of_the_data_now(tmp_path: Path) -> None:
    images = noise_images(12)
    inverted(Net(), labelled(images, 0), tmp_path, num_samples=8)
    before = {row["index"]: row["inverted"] for row in rows(tmp_path)}
    made = inverted(Net(), labelled(images, 1), tmp_path, num_samples=12)
    assert made.label is not None
    assert made.label.tolist() == [(i + 1) % 5 for i in made.index.tolist()]
    after = {row["index"]: row["inverted"] for row in rows(tmp_path)}
    assert {index: after[index] for index in before} == before  # nothing was inverted again
    again = inverted(Net(), labelled(images, 2), tmp_path, num_samples=12)
    assert again.label is not None
    assert again.label.tolist() == [(i + 2) % 5 for i in again.index.tolist()]
    with pytest.raises(RequestError, match=r"labels of .* have changed .* with all samples"):
        inverted(Net(), labelled(images, 3), tmp_path, num_samples=5)


def test_a_dry_run_corrects_no_label(tmp_path: Path) -> None:
    images = noise_images(6)
    inverted(Net(), labelled(images, 0), tmp_path)
    stir_hf.estimate([Net()], labelled(images, 1), verb="invert", out=tmp_path, steps=2)
    assert sorted(r["label"] for r in rows(tmp_path)) == sorted(i % 5 for i in range(6))


def reencoded(images: list[Image.Image]) -> datasets.Dataset:
    """The same pixels in other files."""

    def png(image: Image.Image) -> dict[str, Any]:
        file = io.BytesIO()
        image.save(file, "PNG", compress_level=1)
        return {"bytes": file.getvalue(), "path": None}

    features = datasets.Features(image=datasets.Image())
    return datasets.Dataset.from_dict({"image": [png(i) for i in images]}, features=features)


def test_the_same_pixels_in_another_file_are_the_same(tmp_path: Path) -> None:
    images = noise_images(9)
    inverted(Net(), dataset_of(images), tmp_path, num_samples=6)
    before = Manifest.read(sets(tmp_path)[0]).hash
    assert len(inverted(Net(), reencoded(images), tmp_path)) == 9
    assert Manifest.read(sets(tmp_path)[0]).hash == before


@pytest.mark.parametrize("position", [4, 77, 99])
def test_every_image_is_looked_at_again(position: int, tmp_path: Path) -> None:
    from stir_hf.data.identity import order_of

    images = noise_images(100)
    inverted(Net(), images, tmp_path, steps=1)
    index = int(order_of(100, 100)[position])
    images[index] = noise_images(1, seed=9)[0]
    with pytest.raises(RequestError, match=f"image {index} of .* has changed since"):
        inverted(Net(), images, tmp_path, steps=1)


def test_parts_of_two_versions_of_the_data_are_not_joined(tmp_path: Path) -> None:
    from stir_hf.data.identity import order_of

    old = noise_images(24)
    changed = int(order_of(24, 24)[10])
    new = [noise_images(1, seed=9)[0] if i == changed else image for i, image in enumerate(old)]
    for part, data in (("1/2", old), ("2/2", new)):
        inverted(Net(), data, tmp_path / part[0], part=part)
    inverted(Net(), old, tmp_path / "right", part="2/2")
    with pytest.raises(RequestError, match=f"sample {changed} has other values .*the same data"):
        Inversions.load([tmp_path / "1", tmp_path / "2"])
    assert len(Inversions.load([tmp_path / "1", tmp_path / "right"])) == 24


def test_parts_of_other_labels_are_not_joined(tmp_path: Path) -> None:
    images = noise_images(8)
    for part, shift in (("1/2", 0), ("2/2", 1)):
        inverted(Net(), labelled(images, shift), tmp_path / part[0], part=part)
    with pytest.raises(RequestError, match="has another label"):
        Inversions.load([tmp_path / "1", tmp_path / "2"])


def test_parts_of_a_grown_request_are_joined(tmp_path: Path) -> None:
    """One part is made of 12 images, the other of 16: the first 12 must agree."""
    images = noise_images(16)
    inverted(Net(), images, tmp_path / "1", part="1/2", num_samples=12)
    inverted(Net(), images, tmp_path / "2", part="2/2", num_samples=16)
    assert Inversions.load([tmp_path / "1", tmp_path / "2"]).num_samples == 12


@pytest.mark.parametrize("count", [4, 8, 12])
def test_data_without_labels_leaves_those_of_the_set(count: int, tmp_path: Path) -> None:
    images = noise_images(12)
    inverted(Net(), labelled(images, 0), tmp_path, num_samples=8)
    before = {row["index"]: row["label"] for row in rows(tmp_path)}
    made = inverted(Net(), dataset_of(images), tmp_path, num_samples=count)
    assert made.num_samples == count
    after = {row["index"]: row["label"] for row in rows(tmp_path)}
    assert {index: after[index] for index in before} == before
    assert all(label == index % 5 for index, label in before.items())


@pytest.mark.parametrize("earlier", [4, 8, 12])
def test_a_copy_over_an_earlier_one_has_the_rows_of_now(earlier: int, tmp_path: Path) -> None:
    """Shards have names drawn at random: what is read first is not left to them."""
    images = noise_images(12)
    old = inverted(Net(), labelled(images, 0), tmp_path / "old", num_samples=earlier)
    copy = old.save(tmp_path / "copy")
    for path in copy.glob("*.parquet"):
        path.rename(path.with_name("data-0.parquet"))
    now = inverted(Net(), labelled(images, 1), tmp_path / "now", num_samples=8)
    now.save(copy)
    found = Inversions.load(copy)
    assert found.label is not None
    assert found.label.tolist() == [(i + 1) % 5 for i in found.index.tolist()]
    assert len(rows(copy)) == len({row["index"] for row in rows(copy)}) == max(8, earlier)
    now.save(copy)
    assert len(rows(copy)) == max(8, earlier)


def test_what_a_row_holds_includes_its_label(tmp_path: Path) -> None:
    from stir_hf.data.sets.export import row_digests

    images = noise_images(4)
    for shift in (0, 1):
        inverted(Net(), labelled(images, shift), tmp_path / str(shift))
    one, other = (row_digests(list((tmp_path / s).rglob("*.parquet"))) for s in "01")
    assert [found for found, _ in one.values()] == [found for found, _ in other.values()]
    assert {i: label for (i, _), (_, label) in one.items()} == {i: i for i in range(4)}
    assert {i: label for (i, _), (_, label) in other.items()} == {i: i + 1 for i in range(4)}


@pytest.mark.parametrize("count", [5, 8, 12])
def test_classes_have_the_names_that_the_data_gives_them_now(count: int, tmp_path: Path) -> None:
    images = noise_images(12)
    inverted(Net(), labelled(images, 0), tmp_path, num_samples=8)
    before = {row["index"]: row["label"] for row in rows(tmp_path)}
    renamed = datasets.ClassLabel(names=["ant", "bee", "cat", "dog", "elk"])
    data = labelled(images, 0).cast_column("label", renamed)
    made = inverted(Net(), data, tmp_path, num_samples=count)
    assert made.features["label"] == renamed
    assert Inversions.load(tmp_path).features["label"] == renamed
    after = {row["index"]: row["label"] for row in rows(tmp_path)}
    assert {index: after[index] for index in before} == before
