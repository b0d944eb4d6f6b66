"""Links that lead back, to themselves or to nothing, what may not be opened, and what is hidden."""

import os
from pathlib import Path
from typing import Any

import pytest

from stir_hf import RequestError
from stir_hf.data.sources.samples import open_samples
from stir_hf.data.sources.spec import DataSpec
from stir_hf.data.sources.tree import tree_of
from stir_hf.pointers import check_pointer
from tests.data.test_layout import notes_of, saved
from tests.tiny import pictures

ANNEXED = ".git/annex/objects/G1/p4/SHA256E-s9--0.png/SHA256E-s9--0.png"


def images(folder: Path) -> int:
    return len(open_samples(str(folder), DataSpec(str(folder))))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of one image each, beside an image that is not of them."""
    saved(tmp_path / "around", ["beside/9.png"])
    return saved(tmp_path / "around" / "data", ["a/0.png", "b/1.png"])


@pytest.mark.parametrize("there", ["..", ".", "../..", "/"])
def test_a_link_to_a_folder_around_it_is_named_and_not_followed(there: str, folder: Path) -> None:
    (folder / "up").symlink_to(there)
    assert tree_of(folder).files == ("a/0.png", "b/1.png")
    assert images(folder) == 2
    assert notes_of(folder) == ("1 link to a folder around it, not followed: up",)


def test_a_link_out_and_above_there(folder: Path, tmp_path: Path) -> None:
    store = saved(tmp_path / "store", ["c/in/2.png", "other/3.png"])
    (store / "c" / "up").symlink_to(store)
    (folder / "c").symlink_to(store / "c")
    tree = tree_of(folder)
    assert (tree.files, tree.back) == (("a/0.png", "b/1.png", "c/in/2.png"), ("c/up",))
    assert images(folder) == 3


def test_a_link_to_itself(folder: Path) -> None:
    (folder / "a" / "x.png").symlink_to("x.png")
    (folder / "c").symlink_to("c")
    assert images(folder) == 2
    assert notes_of(folder) == ("2 links lead nowhere: a/x.png, c",)


def test_what_may_not_be_opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir, closed = os.scandir, folder / "b"

    def guarded(path: Any) -> Any:
        if Path(path) == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    assert tree_of(folder).note == "1 entry may not be opened: b"
    closed = folder
    with pytest.raises(RequestError, match=r"cannot be read: 1 entry may not be opened: \.$"):
        images(folder)


@pytest.mark.parametrize("name", [".cache", ".ipynb_checkpoints", "__pycache__"])
def test_of_hidden_folders_no_link_is_told(name: str, folder: Path, tmp_path: Path) -> None:
    (folder / name).mkdir()
    for link, there in (("gone", "nowhere"), ("up", ".."), ("out", str(tmp_path / "around"))):
        (folder / name / link).symlink_to(there)
    (folder / ".venv").symlink_to(saved(tmp_path / "venv", ["x/5.png"]))
    assert not tree_of(folder).linked
    assert images(folder) == 2
    assert notes_of(folder) == ()


def test_links_of_git_annex(folder: Path) -> None:
    for i in range(4):
        (folder / "a" / f"{i + 3}.png").symlink_to(f"../{ANNEXED}{i}")
    assert images(folder) == 2
    told = "4 files of git-annex, not fetched: run `git annex get`: a/3.png, a/4.png, a/5.png, …"
    assert notes_of(folder) == (told,)
    with pytest.raises(RequestError, match=r"3.png is a link of git-annex, .*`git annex get`"):
        check_pointer(folder / "a" / "3.png")
    for name in ("a/0.png", "b/1.png"):
        (folder / name).unlink()
    with pytest.raises(RequestError, match=r"is empty: 4 files of git-annex, not fetched: run"):
        images(folder)


@pytest.mark.parametrize("by_link", [False, True], ids=["path", "path of a link"])
def test_a_card_of_absolute_paths(by_link: bool, tmp_path: Path) -> None:
    folder, link = tmp_path / "data", tmp_path / "link"
    (tmp_path / "tables").mkdir()
    pictures(4).to_parquet(tmp_path / "tables" / "held.parquet")
    folder.mkdir()
    link.symlink_to(folder)
    (folder / "tables").symlink_to("../tables")
    named = (link if by_link else folder) / "tables" / "held.parquet"
    card = "---\nconfigs:\n- {{config_name: all, data_files: [{{split: test, path: '{}'}}]}}\n---\n"
    (folder / "README.md").write_text(card.format(named))
    assert images(link if by_link else folder) == 4
    outside = tmp_path / "tables" / "held.parquet"
    (folder / "README.md").write_text(card.format(outside))
    with pytest.raises(RequestError, match=f"card of .* names files outside of it: {outside};"):
        images(folder)
