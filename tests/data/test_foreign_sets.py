"""Inversion sets that somebody else published: they hold their images themselves, and their
originals come from the Hub.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stir_hf import Inversions, RequestError
from stir_hf.job.originals import with_originals
from stir_hf.models.load.spec import LoadConfig
from tests.data.test_inversions import a_set
from tests.tiny import noise_images


def changed(folder: Path, change: Callable[[pa.Table], pa.Table]) -> Inversions:
    a_set(folder, 4)
    for path in folder.glob("*.parquet"):
        pq.write_table(change(pq.read_table(path)), path)
    return Inversions.load(folder)


def naming(column: str, cell: dict[str, Any]) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        place, old = table.schema.get_field_index(column), table[column]
        cells = pa.array([cell, *old.to_pylist()[1:]], old.type)
        return table.set_column(place, table.schema.field(column), cells)

    return change


@pytest.mark.parametrize("column", ["image", "inverted"])
@pytest.mark.parametrize("held", [None, b""])
def test_images_come_from_their_bytes_alone(
    column: str, held: bytes | None, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "secret.png"
    noise_images(1)[0].save(elsewhere)
    for number, path in enumerate((str(elsewhere), "http://127.0.0.1:9/x.png")):
        inversions = changed(tmp_path / str(number), naming(column, {"bytes": held, "path": path}))
        said = f"{column}: it names the file {path} instead of containing it"
        for read in (lambda: inversions.values(column), inversions.to_dataset):  # noqa: B023
            with pytest.raises(RequestError, match=said):
                read()


def test_the_types_that_a_file_says_are_not_believed(tmp_path: Path) -> None:
    def change(table: pa.Table) -> pa.Table:
        said = table.schema.metadata[b"huggingface"]
        return table.replace_schema_metadata({"huggingface": said.replace(b"Image", b"Audio")})

    inversions = changed(tmp_path, change)
    assert len(inversions.values("inverted")) == 4
    assert inversions.to_dataset().features["inverted"] == datasets.Image()


ABSENT = "is not on the Hub$"
HERE = "is not fetched from the Hub while a folder here has that name; run it elsewhere$"


@pytest.mark.parametrize(
    ("what", "name", "said"),
    [
        ("dataset", "/tmp", ABSENT),
        ("dataset", "~/images", ABSENT),
        ("dataset", "here@main", HERE),
        ("dataset", "here", HERE),
        ("dataset", "lab/here", HERE),
        ("dataset", None, ABSENT),
        ("reference", "./model", ABSENT),
        ("reference", "here@main", HERE),
        ("reference", "lab/here@main", HERE),
    ],
)
def test_originals_are_never_of_this_machine(
    what: str, name: str | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    (tmp_path / "lab" / "here").mkdir(parents=True)
    inversions = changed(tmp_path / "set", lambda table: table.drop_columns("image"))
    names: dict[str, Any] = {
        "dataset": "lab/images",
        "data_revision": "0" * 40,
        "reference": "lab/model",
    }
    names |= {"revision": "0" * 40, what: name}
    foreign = replace(inversions, manifest=replace(inversions.manifest, names=names))
    with pytest.raises(RequestError, match=f"their {what} {name} {said}"):
        with_originals(foreign, LoadConfig())
