"""Record of the data behind a part of an inversion set: the hashes of all samples, including those
of the other parts, so that parts of two versions of the data are not joined.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stir_hf.data.files.rows import Rows, opened
from stir_hf.data.files.shards import files_of
from stir_hf.data.sets.labels import LABEL
from stir_hf.data.sources.canvases import Canvases
from stir_hf.errors import RequestError

FILE_NAME = "sources.parquet"
"""File next to the rows: index, file_hash and label of every sample, canvas_hash if known."""

_SCHEMA = pa.schema(
    {"index": pa.int64(), "file_hash": pa.string(), LABEL: pa.int64(), "canvas_hash": pa.string()}
)


@dataclass(frozen=True)
class Source:
    """Hashes and label of one sample; None for an unknown hash or a missing label."""

    file_hash: str | None
    label: int | None
    canvas_hash: str | None = None

    def differs(self, other: "Source") -> str | None:
        """Name the difference to another record; None if they are of the same sample."""
        decoded = None not in (self.canvas_hash, other.canvas_hash)
        if decoded and self.canvas_hash != other.canvas_hash:
            return "other values"
        known = None not in (self.file_hash, other.file_hash)
        if not decoded and known and self.file_hash != other.file_hash:
            return "other bytes"
        return "another label" if self.label != other.label else None


def record(folder: Path, canvases: Canvases) -> None:
    """Record the samples of all parts. Samples without a file name are decoded once, since other
    releases of a library (Pillow, zlib) may encode the same values differently.
    """
    known, indices = _written_down(folder), enumerate(canvases.samples.order.tolist())
    keep(folder, {index: _source(canvases, p, known.get(index)) for p, index in indices})


def _source(canvases: Canvases, position: int, known: Source | None) -> Source:
    samples = canvases.samples
    found = Source(samples.file_hash(position), samples.label(position))
    if not samples.is_nameless(position):
        return found
    before = known.canvas_hash if known and known.file_hash == found.file_hash else None
    return replace(found, canvas_hash=before or canvases.hash_at(position))


def keep(folder: Path, sources: Mapping[int, Source]) -> None:
    """Write the records of samples, by index."""
    table = pa.Table.from_pylist([{"index": i, **vars(s)} for i, s in sources.items()], _SCHEMA)
    partial = folder / f".{FILE_NAME}.partial"
    pq.write_table(table, partial, write_page_checksum=True)
    partial.replace(folder / FILE_NAME)


def check_same(folders: Iterable[Path]) -> dict[int, Source]:
    """The records of all samples of the parts of a set, by index.

    Raises:
        RequestError: a sample with other values or another label in one of the parts.
    """
    whole: dict[int, Source] = {}
    for folder in folders:
        for index, source in _found(folder).items():
            if (differs := whole.setdefault(index, source).differs(source)) is not None:
                raise RequestError(
                    f"sample {index} has {differs} in the data of {folder} than in the data of the"
                    " other parts; make all parts from the same data"
                )
    return whole


def _found(folder: Path) -> dict[int, Source]:
    """The samples known to a folder: those recorded, and those of its rows."""
    rows = Rows(files_of(folder))
    index, place = np.unique(rows.columns("index")[0], return_index=True)
    columns: Sequence[list[Any]] = [
        rows.values(name, place) for name in ("file_hash", LABEL, "canvas_hash")
    ]
    made = {i: Source(*about) for i, *about in zip(index.tolist(), *columns, strict=True)}
    return _written_down(folder) | {
        i: one for i, one in made.items() if one.canvas_hash is not None
    }


def _written_down(folder: Path) -> dict[int, Source]:
    if not (folder / FILE_NAME).is_file():
        return {}
    with opened(folder / FILE_NAME) as file:
        columns: Sequence[list[Any]] = [c.to_pylist() for c in file.read().columns]
    return {index: Source(*about) for index, *about in zip(*columns, strict=True)}
