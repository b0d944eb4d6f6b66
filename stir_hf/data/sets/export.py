"""The finished rows of a set as files named by their content, for publishing."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stir_hf.data.files.rows import Rows, opened
from stir_hf.data.files.shards import GROUP_ROWS, files_of, grouped
from stir_hf.data.files.stored import reading
from stir_hf.data.sets.labels import LABEL
from stir_hf.data.sets.manifest import Manifest
from stir_hf.data.sets.prefix import Prefix

_SMALL = ("index", "draw", "status", "canvas_hash")


def export(folder: Path, into: Path, *, without_images: bool = False) -> list[Path]:
    """Write the rows of the finished prefix, each (index, draw) once, file by file.

    Equal rows give equal files with equal names, so a set that was extended keeps its earlier
    files. `without_images` leaves out the originals and their labels.

    Raises:
        RequestError: the set is not finished.
    """
    manifest = Manifest.read(folder)
    return reading(lambda: _exported(folder, manifest, into, without_images))


def _exported(folder: Path, manifest: Manifest, into: Path, without_images: bool) -> list[Path]:
    rows = Rows(files_of(folder))
    done = manifest.complete or {"num_samples": 0, "draws": 0}
    numbers, _ = Prefix(folder, manifest, done["num_samples"], done["draws"]).numbers(rows)
    wanted = np.zeros(len(rows), bool)
    wanted[numbers] = True
    into.mkdir(parents=True, exist_ok=True)
    originals = manifest.identity["canvas"]["kind"]
    left_out = (originals, LABEL) if without_images else ()
    written = [_written(*one, into, left_out) for one in rows.tables(wanted)]
    return list(dict.fromkeys(written))


def _written(
    schema: pa.Schema, tables: Iterator[pa.Table], into: Path, left_out: Sequence[str]
) -> Path:
    """Write some rows to a file named by its content, in groups of at least `GROUP_ROWS`."""
    features = datasets.Features.from_arrow_schema(schema)
    names = [name for name in schema.names if name not in left_out]
    kept = datasets.Features(**{name: features[name] for name in names}).arrow_schema
    partial = into / "data.partial"
    with pq.ParquetWriter(partial, kept, write_page_checksum=True) as writer:
        for group in grouped(table.select(names).cast(kept) for table in tables):
            writer.write_table(group)
    with partial.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return partial.replace(into / f"data-{digest[:16]}.parquet")


def columns(file: Path) -> list[str]:
    """The names of a file's columns."""
    with opened(file) as parquet:
        return list(parquet.schema_arrow.names)


def row_digests(files: list[Path]) -> dict[tuple[int, int], tuple[str, int | None]]:
    """For each (index, draw): a hash of status, canvas hash and stored inversion; the label."""
    found: dict[tuple[int, int], tuple[str, int | None]] = {}
    for path in files:
        with opened(path) as file:
            for batch in file.iter_batches(GROUP_ROWS, columns=[*_SMALL, "inverted", LABEL]):
                index, draw, status, canvas = (batch[n].to_pylist() for n in _SMALL)
                labelled = LABEL in batch.schema.names
                labels = batch[LABEL].to_pylist() if labelled else [None] * len(batch)
                for i, key in enumerate(zip(index, draw, strict=True)):
                    row = hashlib.sha256(f"{status[i]} {canvas[i]}".encode())
                    row.update(_stored(batch["inverted"], i))
                    found[key] = row.hexdigest(), labels[i]
    return found


def _stored(column: pa.Array, row: int) -> bytes:
    """The bytes of one input: those of its file, or its floats."""
    if pa.types.is_struct(column.type):
        return column.field("bytes")[row].as_py() or b""
    values = getattr(column, "storage", column).slice(row, 1)
    while pa.types.is_list(values.type):
        values = values.flatten()
    floats: bytes = values.to_numpy(zero_copy_only=False).tobytes()
    return floats
