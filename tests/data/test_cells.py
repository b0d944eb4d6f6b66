"""Stored images: which files they may name, and what is read of those without bytes."""

import datasets
import pytest

from stir_hf.data.cells import files_named, is_inside
from stir_hf.data.image_columns import image_column
from stir_hf.data.spec import DataSpec

URL = "hf://datasets/lab/images@0"


@pytest.mark.parametrize(
    ("named", "inside"),
    [
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
    ],
)
def test_what_lies_in_a_repo(named: str, inside: bool) -> None:
    assert is_inside(named, URL) is inside


def test_the_files_that_images_name() -> None:
    cells = [
        {"bytes": b"held", "path": "a.png"},
        {"bytes": None, "path": "b.png"},
        {"bytes": b"", "path": "c.png"},
        None,
    ]
    inner = datasets.Image(decode=False)
    features = datasets.Features(image=inner, views=datasets.List({"photo": inner}))
    views = [[{"photo": cell}, {"photo": cells[1]}] for cell in cells]
    data = datasets.Dataset.from_dict({"image": cells, "views": views}, features=features)

    def found(column: str) -> list[str]:
        images = image_column(features, DataSpec("it", image_column=column))
        return files_named(images.cells(data.data))

    assert found("image") == ["b.png", "c.png"]
    assert found("views[0].photo") == ["b.png", "b.png", "b.png", "c.png", "b.png", "b.png"]
