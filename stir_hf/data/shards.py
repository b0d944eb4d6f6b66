"""An inversion set on disk: its columns, and the writer that appends rows to it."""

import json
import os
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq

from stir_hf.errors import RequestError

RECIPE = "inversions.json"
FOLDER = "inversions"


def features(
    size: tuple[int, int], channels: int, *, exact: bool, starts: bool, label: Any = None
) -> datasets.Features:
    """The columns of an inversion set on a canvas of `size` (h, w)."""
    image = datasets.Image()
    inverted = datasets.Array3D((channels, *size), "float32") if exact else datasets.Image()
    columns = {
        "index": datasets.Value("int64"),
        "draw": datasets.Value("int32"),
        "image": image,
        "inverted": inverted,
        "relative_error": datasets.Value("float32"),
        "representation": datasets.List(datasets.Value("float32")),
        "representation_inverted": datasets.List(datasets.Value("float32")),
    }
    if starts:
        columns["start"] = datasets.Array3D((channels, *size), "float32")
    if label is not None:
        columns["label"] = label
    return datasets.Features(columns)


class Writer:
    """Appends rows to an inversion set on disk. What `write` has returned from survives a kill.

    Each call makes one parquet file, complete before it takes its name. `recipe` says what makes the set; a folder that
    holds another recipe is refused.
    """

    def __init__(
        self, folder: Path, recipe: dict[str, Any], columns: datasets.Features, rank: int = 0
    ) -> None:
        self.folder, self.columns, self.rank = folder, columns, rank
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / RECIPE
        if path.exists():
            if json.loads(path.read_text("utf-8")) != json.loads(json.dumps(recipe)):
                raise RequestError(
                    f"{folder} holds inversions that were made otherwise; choose another --out"
                )
        else:
            _replace(path, (json.dumps(recipe, indent=1, ensure_ascii=False) + "\n").encode())

    def done(self) -> set[tuple[int, int]]:
        """The (index, draw) of every row that is on disk."""
        found: set[tuple[int, int]] = set()
        for path in shards_of(self.folder):
            table = pq.read_table(path, columns=["index", "draw"])
            found.update(zip(table["index"].to_pylist(), table["draw"].to_pylist(), strict=True))
        return found

    def write(self, rows: list[dict[str, Any]]) -> None:
        """Put rows on disk, all or none."""
        if rows:
            number = 1 + max(
                (int(p.stem.rpartition("-")[2]) for p in shards_of(self.folder)), default=-1
            )
            path = self.folder / f"data-{self.rank:04d}-{number:06d}.parquet"
            partial = path.with_suffix(".partial")
            table = datasets.Dataset.from_list(rows, features=self.columns).data.table
            with partial.open("wb") as file:
                pq.write_table(table, file)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)


def shards_of(folder: Path) -> list[Path]:
    """The parquet files of a set, by name."""
    return sorted(folder.glob("data-*.parquet"))


def _replace(path: Path, content: bytes) -> None:
    partial = path.with_suffix(".partial")
    partial.write_bytes(content)
    partial.replace(path)
