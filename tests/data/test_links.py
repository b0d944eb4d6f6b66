"""Links in folders of data and of checkpoints: what is behind them is read as it is shown."""

import shutil
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch

from stir_hf import RequestError, invert, load_encoder, score
from stir_hf.data.sets.located import find_sets
from stir_hf.data.sources.samples import open_samples
from stir_hf.data.sources.spec import DataSpec
from stir_hf.data.sources.tree import tree_of
from tests.conftest import TinyModels
from tests.data.test_layout import notes_of, saved
from tests.tiny import QUICK, Net, pictures


def read(folder: Path, **options: Any) -> tuple[Any, ...]:
    """The split, the names of its labels, and each image's label and pixels."""
    samples = open_samples(str(folder), DataSpec(str(folder), **options))
    found = [samples.sample(position) for position in range(len(samples))]
    names = getattr(samples.label_feature, "names", None)
    return samples.spec.split, names, [(one.label, one.original.tobytes()) for one in found]


def linked(folder: Path, store: Path, **links: str) -> Path:
    """A folder with links to others in `store`."""
    for name, there in links.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(store / there)
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Folders of images: flat, of two classes, with metadata, and one of parquet."""
    store = saved(tmp_path / "store", ["flat/0.png", "flat/1.png", "flat/2.png"])
    saved(store, ["classes/cat/3.png", "classes/dog/4.png", "classes/dog/deep/5.png"])
    saved(store, ["told/0.png", "told/1.png"])
    (store / "told" / "metadata.csv").write_text("file_name,label\n0.png,7\n1.png,9\n")
    (store / "table").mkdir()
    pictures(4).to_parquet(store / "table" / "test-00000-of-00001.parquet")
    (store / "zipped").mkdir()
    shutil.make_archive(str(store / "zipped" / "test"), "zip", store / "flat")
    return store


FOLDERS: dict[str, dict[str, str]] = {
    "a class": {"cats": "flat", "dogs": "classes/dog"},
    "the test split": {"test": "flat", "train": "classes"},
    "a class of a split": {"test__a": "flat", "test__b": "classes/cat"},
    "a split of classes": {"test": "classes"},
    "a class twice": {"a": "flat", "b": "flat"},
    "metadata": {"test": "told"},
    "a table": {"data": "table"},
    "an archive": {"data": "zipped"},
    "names like patterns": {"[a]": "flat", "b*?": "classes/cat"},
}


@pytest.mark.usefixtures("unclosed_files")
@pytest.mark.parametrize("links", FOLDERS.values(), ids=FOLDERS)
def test_linked_folders_are_read_as_copies(
    links: dict[str, str], store: Path, tmp_path: Path
) -> None:
    folder = linked(tmp_path / "data", store, **links)
    copy = Path(shutil.copytree(folder, tmp_path / "copy" / "data"))
    found = read(folder)
    assert found == read(copy)
    assert len(found[2]) > 1
    (tmp_path / "link").symlink_to(folder)
    assert read(tmp_path / "link") == found
    assert notes_of(folder) == notes_of(copy) == ()


def test_a_linked_folder_is_streamed(store: Path, tmp_path: Path) -> None:
    folder = linked(tmp_path / "data", store, test="flat", train="classes")
    assert sorted(read(folder, streaming=True)[2]) == sorted(read(folder)[2])


def test_a_card_names_what_is_behind_a_link(store: Path, tmp_path: Path) -> None:
    folder = linked(tmp_path / "data", store, deep__table="table")
    files = "data_files: [{split: held, path: '**/test-*.parquet'}]"
    (folder / "README.md").write_text(f"---\nconfigs:\n- {{config_name: all, {files}}}\n---\n")
    split, _, found = read(folder)
    assert (split, len(found)) == ("held", 4)


def test_links_to_files_and_a_saved_dataset(store: Path, tmp_path: Path) -> None:
    folder = linked(tmp_path / "data", store, **{"x.png": "flat/0.png", "y.png": "flat/2.png"})
    assert read(folder) == read(saved_as(store / "flat", ["0.png", "2.png"], tmp_path / "copies"))
    datasets.DatasetDict(test=pictures(3)).save_to_disk(str(store / "saved"))
    parts = {path.name: f"saved/{path.name}" for path in (store / "saved").iterdir()}
    assert read(linked(tmp_path / "links", store, **parts)) == read(store / "saved")


def saved_as(source: Path, names: list[str], folder: Path) -> Path:
    folder.mkdir()
    for name in names:
        shutil.copy(source / name, folder)
    return folder


def test_loops_end(tmp_path: Path) -> None:
    folder = saved(tmp_path / "data", ["a/0.png", "a/in/1.png", "b/2.png"])
    plain = set(tree_of(folder).files)
    for name, there in (("a/in/up", "a"), ("b/all", "."), ("self", "."), ("b/same", "b")):
        (folder / name).symlink_to(folder / there)
    assert plain <= set(tree_of(folder).files)
    assert not [name for name in tree_of(folder).files if name.startswith("self")]
    (tmp_path / "one").mkdir()
    once = saved(tmp_path / "one", ["a/0.png", "b/1.png"])
    (once / "a" / "up").symlink_to(once)
    assert (tree_of(once).files, tree_of(once).linked) == (("a/0.png", "b/1.png"), False)
    assert len(read(once)[2]) == 2


def test_links_that_lead_nowhere_are_named(tmp_path: Path) -> None:
    folder = saved(tmp_path / "data", ["a/0.png", "b/1.png"])
    (folder / "a" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (folder / "c").symlink_to("../nowhere")
    assert notes_of(folder) == ("2 links lead nowhere: a/gone.png, c",)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "cats").symlink_to("../nowhere")
    with pytest.raises(RequestError, match="is empty: 1 link leads nowhere: cats"):
        notes_of(tmp_path / "empty")


def test_linked_checkpoints(tiny_models: TinyModels, tmp_path: Path) -> None:
    images = torch.rand(2, 3, 32, 32)
    expected = load_encoder(tiny_models.vit)(images)
    (tmp_path / "link").symlink_to(tiny_models.vit)
    names = {path.name: path.name for path in Path(tiny_models.vit).iterdir()}
    files = linked(tmp_path / "files", Path(tiny_models.vit), **names)
    for folder in (tmp_path / "link", files):
        assert torch.equal(load_encoder(str(folder))(images), expected)
    for name in ("model.safetensors", "preprocessor_config.json", "config.json"):
        (files / name).unlink()
        (files / name).symlink_to("../nowhere")
        with pytest.raises(RequestError, match=rf"{name} is a link that leads nowhere, to \.\./"):
            load_encoder(str(files))
        (files / name).unlink()
        (files / name).symlink_to(Path(tiny_models.vit) / name)


def test_linked_inversions(tmp_path: Path) -> None:
    made = invert(Net(), pictures(5), out=tmp_path / "out", **QUICK)
    expected = score(Net(1), made, progress=False).scores[0].stir
    sets = linked(tmp_path / "sets", made.path.parent, **{made.path.name: made.path.name})
    whole = linked(tmp_path / "whole", tmp_path / "out", inversions="inversions")
    for folder in (sets, whole):
        assert [path.name for path in find_sets(folder)] == [made.path.name]
        assert score(Net(1), str(folder), progress=False).scores[0].stir == expected
