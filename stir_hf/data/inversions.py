"""Inversions as a dataset of their own: pairs (image, inverted), written in shards, continued, and loaded back."""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stir_hf.data.shards import FOLDER, RECIPE, Writer, shards_of
from stir_hf.errors import RequestError, RunError, closest
from stir_hf.inputs.images import to_array


@dataclass(frozen=True)
class Inversions:
    """One row per (image, draw), sorted by (index, draw); numbers as NumPy arrays.

    `recipe` says what made them: the reference, the data, the method and its options.
    """

    rows: datasets.Dataset
    recipe: dict[str, Any]
    path: Path | None = None

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Inversions":
        """Load one inversion set from its folder, or from a folder DIR that holds exactly one in DIR/inversions.

        Raises:
            RequestError: no inversion set there, or several.
        """
        sets = find_sets(Path(path))
        if len(sets) > 1:
            raise RequestError(
                f"{path} holds {len(sets)} inversion sets; give one: {', '.join(str(s) for s in sets)}"
            )
        return cls._read(sets[0])

    @classmethod
    def load_all(cls, path: str | os.PathLike[str]) -> "list[Inversions]":
        """All inversion sets under a folder, by name."""
        return [cls._read(folder) for folder in find_sets(Path(path))]

    @classmethod
    def _read(cls, folder: Path) -> "Inversions":
        shards = shards_of(folder)
        if not shards:
            raise RequestError(
                f"{folder} holds no finished inversions yet; run the same command again"
            )
        rows = datasets.Dataset(pa.concat_tables(pq.read_table(s) for s in shards))
        order = np.lexsort((np.asarray(rows["draw"]), np.asarray(rows["index"])))
        return cls(rows.select(order), json.loads((folder / RECIPE).read_text("utf-8")), folder)

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Copy the set to a folder of its own; returns it.

        Raises:
            RequestError: the folder holds something else.
        """
        writer = Writer(Path(folder), self.recipe, self.rows.features)
        done = writer.done()
        writer.write([row for row in self.rows if (row["index"], row["draw"]) not in done])
        return Path(folder)

    def __len__(self) -> int:
        return len(self.rows)

    def _column(self, name: str) -> Any:
        return self.rows.with_format("numpy", columns=[name])[:][name]

    @cached_property
    def index(self) -> NDArray[np.int64]:
        """(n,): the image's row in its split."""
        return np.asarray(self._column("index"))

    @cached_property
    def draw(self) -> NDArray[np.int32]:
        """(n,): which inversion of that image."""
        return np.asarray(self._column("draw"))

    @cached_property
    def relative_error(self) -> NDArray[np.float32]:
        """(n,): of the stored image."""
        return np.asarray(self._column("relative_error"))

    @cached_property
    def representation(self) -> NDArray[np.float32]:
        """(n, d): the reference's, of the image."""
        return np.stack(list(self._column("representation")))

    @cached_property
    def representation_inverted(self) -> NDArray[np.float32]:
        """(n, d): the reference's, of the stored inverted image."""
        return np.stack(list(self._column("representation_inverted")))

    @cached_property
    def label(self) -> NDArray[np.int64] | None:
        """(n,) when the dataset has labels."""
        return np.asarray(self._column("label")) if "label" in self.rows.features else None

    @property
    def image(self) -> NDArray[np.float32]:
        """(n, c, h, w) in [0, 1]: the originals on the canvas."""
        return self.pixels("image")

    @property
    def inverted(self) -> NDArray[np.float32]:
        """(n, c, h, w) in [0, 1]: the inversions as they are stored."""
        return self.pixels("inverted")

    def check_finished(self) -> None:
        """Raise RequestError unless every image that was asked for is there, in every draw, once."""
        data, draws = self.recipe["data"], self.recipe["inversion"]["draws"]
        keys = set(zip(self.index.tolist(), self.draw.tolist(), strict=True))
        wanted = {(i, d) for i in np.unique(self.index).tolist() for d in range(draws)}
        if len(self) != len(keys) or len(self) > data["num_samples"] * draws:
            raise RequestError(
                f"{self.path} holds rows twice, or rows of another run; make it again in an empty folder"
            )
        if len(self) < data["num_samples"] * draws or keys != wanted:
            raise RequestError(
                f"{self.path} holds {len(self)} of {data['num_samples'] * draws} inversions;"
                " run the command that makes them again, and it continues"
            )

    def pixels(self, column: str, rows: Iterable[int] | None = None) -> NDArray[np.float32]:
        """(b, c, h, w) in [0, 1] of some rows, or all."""
        wanted = self.rows.select_columns([column])
        wanted = wanted if rows is None else wanted.select(rows)
        return np.stack([to_array(row[column]) for row in wanted])

    def batches(self, size: int) -> Iterator[range]:
        """Ranges of row numbers that cover the set."""
        return (range(first, min(first + size, len(self))) for first in range(0, len(self), size))


def find_sets(path: Path) -> list[Path]:
    """The folders of the inversion sets at or under `path`.

    Raises:
        RequestError: there are none.
    """
    if (path / RECIPE).is_file():
        return [path]
    parent = path / FOLDER if (path / FOLDER).is_dir() else path
    sets = sorted(p.parent for p in parent.glob(f"*/{RECIPE}"))
    if not sets:
        beside = [
            p.name for p in path.absolute().parent.glob("*") if p.is_dir() and p.name != path.name
        ]
        hint = "" if path.is_dir() else f"; {closest(path.name, beside)}"
        raise RequestError(
            f"no inversions at {path}; expected a folder that `stir-hf invert --out` wrote{hint}"
        )
    return sets


def check_complete(inversions: Inversions, keys: set[tuple[int, int]]) -> None:
    """Raise RunError unless the set holds exactly these (index, draw), each once."""
    found = list(zip(inversions.index.tolist(), inversions.draw.tolist(), strict=True))
    if len(found) != len(set(found)) or set(found) != keys:
        raise RunError(
            f"{inversions.path} holds {len(found)} rows, not exactly the {len(keys)} that were asked for"
        )
