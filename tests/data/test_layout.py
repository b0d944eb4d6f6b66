"""Folders of images: what lies beside them, and what no split holds."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stir_hf import RequestError, compare
from stir_hf.data.sources.layout import layout_of
from stir_hf.data.sources.samples import open_samples
from stir_hf.data.sources.spec import DataSpec
from stir_hf.report import table
from tests.conftest import TinyModels
from tests.data.test_as_given import seen
from tests.tiny import QUICK, noise_images


def saved(folder: Path, names: list[str]) -> Path:
    for name, image in zip(names, noise_images(len(names)), strict=True):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)
    return folder


def notes_of(folder: Path, **options: Any) -> tuple[str, ...]:
    found: tuple[str, ...] = open_samples(str(folder), DataSpec(str(folder), **options)).notes
    return found


def test_files_that_no_split_holds_are_noted(tmp_path: Path, tiny_models: TinyModels) -> None:
    names = [f"{i}.png" if i < 4 else f"shot_test_{i}.png" for i in range(10)]
    folder = saved(tmp_path / "shots", names)
    said = "4 image files are not among the 6 of split 'test': 0.png, 1.png, 2.png, …"
    assert notes_of(folder) == (said,)
    result = compare(tiny_models.vit, tiny_models.resnet, str(folder), **QUICK)
    assert all(said in found.notes for found in result.scores)
    assert said in table(result)
    shown = table(result).splitlines()[-4::2]
    assert [line.split("|")[3].strip() for line in shown] == ["6", "6"]


@pytest.mark.usefixtures("unclosed_files")
def test_files_that_the_metadata_leaves_out_are_noted(tmp_path: Path) -> None:
    folder = saved(tmp_path, [f"{i}.png" for i in range(6)])
    lines = "".join(f"{i}.png,{i}\n" for i in range(5))
    (folder / "metadata.csv").write_text("file_name,number\n" + lines)
    assert notes_of(folder) == ("1 image file is not among the 5 of split 'train': 5.png",)


def test_words_in_names_divide_and_folders_do(tmp_path: Path) -> None:
    words = saved(tmp_path / "words", ["a_train.png", "b_test.png", "c_test.png"])
    assert notes_of(words) == ("1 image file is not among the 2 of split 'test': a_train.png",)
    assert notes_of(words, split="test") == ()
    ordinary = saved(tmp_path / "ordinary", ["train/a.png", "test/b.png", "test/c.png"])
    assert notes_of(ordinary) == ()


def test_nothing_is_noted_where_all_is_there(tmp_path: Path) -> None:
    folder = saved(tmp_path / "a (b) é", ["x/1.png", "y/2.png"])
    (folder / ".hidden").mkdir()
    saved(folder / ".hidden", ["3.png"])
    assert notes_of(folder) == ()
    assert len(seen(str(folder))) == 2


def test_a_name_that_is_a_pattern_is_told(tmp_path: Path) -> None:
    folder = saved(tmp_path / "a [b]", ["1.png"])
    with pytest.raises(RequestError, match="for a pattern; rename it"):
        notes_of(folder)


@pytest.mark.parametrize("kind", ["json", "txt", "xml", "csv"])
@pytest.mark.parametrize("beside", [True, False], ids=["beside", "folder of their own"])
def test_annotations_are_passed_over(kind: str, beside: bool, tmp_path: Path) -> None:
    folder = saved(tmp_path, [f"images/{i}.png" for i in range(4)])
    labels = folder / ("images" if beside else "labels")
    labels.mkdir(exist_ok=True)
    for i in range(4):
        for name in (f"{i}.{kind}", f"{i}.more.{kind}"):
            (labels / name).write_text('{"a": 1}' if kind == "json" else "a,b\n1,2\n")
    found, expected = seen(str(folder)), noise_images(4)
    assert all(np.array_equal(a, np.asarray(b)) for a, b in zip(found, expected, strict=True))
    assert notes_of(folder) == ()


def test_the_repo_of_annotated_images_is_one_of_images(tmp_path: Path) -> None:
    """As it is asked for a repo of the Hub: empty files in place of all that it holds."""
    for i in range(3):
        for name in (f"{i}.png", f"{i}.json", f"{i}.txt"):
            (tmp_path / name).touch()
    found = layout_of(tmp_path, None, "org/annotated")
    assert (found.reader, found.files) == ("imagefolder", {"train": ["0.png", "1.png", "2.png"]})
    (tmp_path / "README.md").write_text(
        "---\nconfigs:\n- {config_name: default, data_files: '*.json'}\n---\n"
    )
    assert layout_of(tmp_path, None, "org/annotated").reader == "json"  # its card says so


def test_an_archive_of_folders_is_read_without_labels(tmp_path: Path) -> None:
    names = [f"{kind}/{i}.png" for kind in ("cat", "dog") for i in range(2)]
    source = saved(tmp_path / "source", names)
    (tmp_path / "zipped").mkdir()
    shutil.make_archive(str(tmp_path / "zipped" / "data"), "zip", source)
    samples = open_samples(str(tmp_path / "zipped"), DataSpec("zipped"))
    assert samples.label_column is None
    assert sorted(image.tobytes() for image in seen(str(tmp_path / "zipped"))) == sorted(
        np.asarray(image).tobytes() for image in noise_images(4)
    )
