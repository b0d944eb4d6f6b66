"""Files of a set that cannot be read or written."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import stir_hf
from stir_hf import Inversions, RequestError
from stir_hf.data.sets.export import export
from tests.data.test_folders_that_change import (
    cut,
    flipped,
    labelled,
    write_uncompressed,
)
from tests.data.test_inversions import a_set
from tests.tiny import Net, inverted, noise_images, rows


@pytest.mark.parametrize("code", ["EACCES", "EPERM", "EMFILE", "EIO", "ESTALE", "ENOMEM", None])
def test_what_the_machine_refuses_is_no_broken_file(
    code: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow.parquet as pq

    a_set(tmp_path, 4)
    number = None if code is None else getattr(errno, code)
    error = MemoryError("no room") if number is None else OSError(number, "refused")

    def refuse(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(pq.ParquetFile, "read", refuse)
    with pytest.raises(stir_hf.RunError, match=r"part-.*\.parquet cannot be read now: ") as told:
        Inversions.load(tmp_path)
    assert "remove" not in str(told.value)


def test_a_folder_in_the_place_of_a_file_is_told(tmp_path: Path) -> None:
    a_set(tmp_path, 4)
    (tmp_path / "part-folder.parquet").mkdir()
    with pytest.raises(RequestError, match=r"part-folder\.parquet is a folder"):
        Inversions.load(tmp_path)


def test_a_full_disk_is_no_broken_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow.parquet as pq

    images = noise_images(4)
    inverted(Net(), labelled(images, 0), tmp_path)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(pq.ParquetWriter, "write_table", full)
        with pytest.raises(OSError, match="No space left"):
            inverted(Net(), labelled(images, 1), tmp_path)
    assert sorted(row["label"] for row in rows(tmp_path)) == [0, 1, 2, 3]
    assert not list(tmp_path.rglob("*.partial"))


@pytest.mark.parametrize("broken", [cut, flipped])
def test_a_broken_file_is_neither_copied_nor_sent(
    broken: Callable[[Path], None], tmp_path: Path
) -> None:
    made = inverted(Net(), noise_images(4), tmp_path / "set")
    write_uncompressed(made.path)
    (path,) = made.path.glob("*.parquet")
    broken(path)
    with pytest.raises(RequestError, match=rf"set/.*{path.name} is broken: "):
        made.save(tmp_path / "copy")
    assert not list((tmp_path / "copy").iterdir())
    with pytest.raises(RequestError, match=rf"{path.name} is broken: "):
        export(made.path, tmp_path / "sent")
