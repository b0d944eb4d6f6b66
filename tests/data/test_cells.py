"""Stored images: which files they may name, and what is read of those without bytes."""

import hashlib
import re
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pytest
from datasets.utils.file_utils import xopen
from PIL import Image, UnidentifiedImageError

from stir_hf.data.images import cells
from stir_hf.data.images.cells import check_files, files_named, is_inside
from stir_hf.data.images.columns import image_column
from stir_hf.data.sources.spec import DataSpec
from stir_hf.errors import RequestError

URL = "hf://datasets/lab/images@0"


LIES: list[tuple[str, bool]] = [
    (f"{URL}/a.png", True),
    (f"{URL}/more/a..b.png", True),
    (f"zip://a/b.png::{URL}/a.zip", True),
    (f"zip://b.png::zip://a.zip::{URL}/all.zip", True),
    (URL, False),
    (f"{URL}0/a.png", False),
    (f"{URL}/../../priv/a.png", False),
    (f"zip://../a.png::{URL}/a.zip", False),
    (f"/etc/hostname::{URL}/a.zip", False),
    (f"zip://a::/etc/hostname::{URL}/a.zip", False),
    (f"http://127.0.0.1/x::{URL}/a.zip", False),
    (f"{URL}/a.zip::/etc/hostname", False),
    ("zip://a.png::/etc/a.zip", False),
    ("a.png", False),
    ("", False),
]
"""Files that an image may name, and whether they lie in the repo."""


@pytest.mark.parametrize(("named", "inside"), LIES)
def test_what_lies_in_a_repo(named: str, inside: bool) -> None:
    assert is_inside(named, URL) is inside


ROOTS = ["/cache/a+b", "/cache/a::b"]


def naming(paths: list[Any]) -> pa.ChunkedArray:
    kind = pa.struct({"bytes": pa.binary(), "path": pa.null() if paths == [None] else pa.string()})
    return pa.chunked_array([pa.array([{"bytes": None, "path": p} for p in paths], kind)])


@pytest.mark.parametrize("root", [URL, *ROOTS])
def test_many_files_are_checked_as_each_alone(root: str) -> None:
    for named in [name.replace(URL, root) for name, _ in LIES if name]:
        inside = is_inside(named, root)
        with nullcontext() if inside else pytest.raises(RequestError, match=re.escape(named)):
            check_files(naming([None, "", named]), [root])
    check_files(naming([None]), [root])


def test_the_first_file_outside_is_told() -> None:
    names = [f"{ROOTS[0]}/1.png", "/etc/2.png", f"{ROOTS[0]}/../3.png"]
    with pytest.raises(RequestError, match=r"outside of its repo: /etc/2\.png$"):
        check_files(naming(names), ROOTS)


def test_only_odd_names_are_checked_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    alone: list[str] = []
    monkeypatch.setattr(cells, "check_inside", lambda named, _: alone.append(named))
    usual = [f"{ROOTS[0]}/{i}.png" for i in range(500)]
    zipped = [f"zip://{i}.png::{ROOTS[0]}/all.zip" for i in range(500)]
    odd = [f"{ROOTS[0]}/a..b.png", f"{ROOTS[0]}x/a.png"]
    check_files(naming([*usual, *odd, *zipped]), ROOTS)
    assert alone == odd


def test_the_files_that_images_name() -> None:
    held: list[Any] = [
        {"bytes": b"held", "path": "a.png"},
        {"bytes": None, "path": "b.png"},
        {"bytes": b"", "path": "c.png"},
        None,
    ]
    inner = datasets.Image(decode=False)
    features = datasets.Features(image=inner, views=datasets.List({"photo": inner}))
    views = [[{"photo": cell}, {"photo": held[1]}] for cell in held]
    data = datasets.Dataset.from_dict({"image": held, "views": views}, features=features)

    def found(column: str) -> Any:
        images = image_column(features, DataSpec("it", image_column=column))
        return files_named(images.cells(data.data)).to_pylist()

    assert found("image") == ["b.png", "c.png"]
    assert found("views[0].photo") == ["b.png", "b.png", "b.png", "c.png", "b.png", "b.png"]


def test_a_file_is_read_once_to_be_decoded_and_hashed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3)).save(path)
    data, read = path.read_bytes(), list[str]()

    def told(name: str, *how: Any) -> Any:
        read.append(name)
        file = xopen(name, *how)
        path.unlink()  # whoever opens it again fails
        return file

    monkeypatch.setattr(cells, "xopen", told)
    image, digest = cells.decoded_and_hashed({"bytes": None, "path": str(path)})
    assert np.asarray(image).ravel().tolist() == list(range(48))
    assert digest == hashlib.sha256(data).hexdigest()[:16]
    assert read == [str(path)]


def test_what_is_said_of_a_broken_file_names_it(tmp_path: Path) -> None:
    path = tmp_path / "b.png"
    path.write_bytes(b"no image")
    with pytest.raises(UnidentifiedImageError, match=r"b\.png"):
        cells.decoded_and_hashed({"bytes": None, "path": str(path)})
