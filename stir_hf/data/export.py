"""The finished rows of a set as files that are named by their content, to be sent elsewhere."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stir_hf.data.manifest import Manifest
from stir_hf.data.prefix import prefix_rows
from stir_hf.data.shards import GROUP_ROWS, Rows, files_of

ORIGINALS, OTHERS = "image", ("image", "label")
"""The column of others' images, and what is left out with it."""

_COMPARED = ["status", "canvas_hash", "inverted"]
_SMALL = ("index", "draw", "status", "canvas_hash")


def export(folder: Path, into: Path, *, without_images: bool = False) -> list[Path]:
    """Write the rows of the finished prefix alone, each (index, draw) once, file by file.

    Equal rows give equal files of equal names, so that a set that was extended keeps those of
    before.

    Args:
        folder: of the set.
        into: a folder for the files.
        without_images: leave out the originals and their labels.

    Raises:
        RequestError: the set is not finished.
    """
    manifest, files = Manifest.read(folder), files_of(folder)
    rows = Rows(files)
    done = manifest.complete or {"num_samples": 0, "draws": 0}
    numbers, _ = prefix_rows(rows, folder, manifest, done["num_samples"], done["draws"])
    wanted = np.zeros(len(rows), bool)
    wanted[numbers] = True
    into.mkdir(parents=True, exist_ok=True)
    written, offset = [], 0
    for path in files:
        count = pq.read_metadata(path).num_rows
        mask = wanted[offset : offset + count]
        offset += count
        if mask.any():
            written.append(_rewritten(path, mask, into, without_images=without_images))
    return list(dict.fromkeys(written))


def _rewritten(path: Path, mask: np.ndarray, into: Path, *, without_images: bool) -> Path:
    schema = pq.read_schema(path)
    kept_names = [n for n in schema.names if not (without_images and n in OTHERS)]
    features = datasets.Features.from_arrow_schema(schema)
    kept = datasets.Features(**{name: features[name] for name in kept_names}).arrow_schema
    partial = into / f"{path.stem}.partial"
    with pq.ParquetWriter(partial, kept) as writer:
        for table in _groups(path, mask, kept_names):
            writer.write_table(table.cast(kept))
    with partial.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return partial.replace(into / f"data-{digest[:16]}.parquet")


def _groups(path: Path, mask: np.ndarray, columns: list[str]) -> Iterator[pa.Table]:
    """The rows that the mask holds, at least `GROUP_ROWS` at a time."""
    waiting: list[pa.Table] = []
    with pq.ParquetFile(path) as file:
        offset = 0
        for number in range(file.num_row_groups):
            table = file.read_row_group(number, columns=columns)
            waiting.append(table.filter(pa.array(mask[offset : offset + len(table)])))
            offset += len(table)
            if sum(map(len, waiting)) >= GROUP_ROWS:
                yield pa.concat_tables(waiting)
                waiting = []
    if sum(map(len, waiting)):
        yield pa.concat_tables(waiting)


def columns(file: Path) -> list[str]:
    """The names of a file's columns."""
    return list(pq.read_schema(file).names)


def row_digests(files: list[Path]) -> dict[tuple[int, int], str]:
    """What each (index, draw) holds: status, canvas and the inverted image as it is stored."""
    found: dict[tuple[int, int], str] = {}
    for path in files:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(GROUP_ROWS, columns=["index", "draw", *_COMPARED]):
                index, draw, status, canvas = (batch[n].to_pylist() for n in _SMALL)
                for i, key in enumerate(zip(index, draw, strict=True)):
                    row = hashlib.sha256(f"{status[i]} {canvas[i]}".encode())
                    row.update(_stored(batch["inverted"], i))
                    found[key] = row.hexdigest()
    return found


def _stored(column: pa.Array, row: int) -> bytes:
    """The bytes of one image: those of its file, or its floats."""
    if pa.types.is_struct(column.type):
        return column.field("bytes")[row].as_py() or b""
    values = getattr(column, "storage", column).slice(row, 1)
    while pa.types.is_list(values.type):
        values = values.flatten()
    floats: bytes = values.to_numpy(zero_copy_only=False).tobytes()
    return floats
