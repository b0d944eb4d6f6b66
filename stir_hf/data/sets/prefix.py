"""The finished rows of an inversion set: a prefix in the order of the data."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stir_hf.data.files.broken import BrokenError
from stir_hf.data.files.rows import STATUSES, UNREADABLE, Rows, first_of_each
from stir_hf.data.files.shards import files_of
from stir_hf.data.files.stored import Stored
from stir_hf.data.files.table_checks import check_copies, check_files, check_hashes, check_small
from stir_hf.data.identity import data_order
from stir_hf.data.sets.manifest import Manifest
from stir_hf.errors import RequestError

WHOLE = slice(None)
"""All positions of a prefix, instead of a part."""


def selected(
    folder: Path,
    manifest: Manifest,
    num_samples: int,
    draws: int,
    part: slice = WHOLE,
    called: str | None = None,
) -> dict[str, Any]:
    """The rows of a prefix, or of a part of it, each (index, draw) once, without the originals
    that were left out; `called` replaces the folder in messages.
    """
    rows = Rows(files_of(folder))
    first, columns = prefix_rows(rows, folder, manifest, num_samples, draws, part, called)
    index, draw, status = columns["index"], columns["draw"], columns["status"]
    left_out = first[status[first] >= STATUSES.index("not_finite")]
    bad = {int(index[i]): STATUSES[status[i]] for i in left_out}
    kept = first[~np.isin(index[first], sorted(bad))]
    error = np.asarray(columns["relative_error"], np.float32)[kept]
    keys = np.stack((index[kept], draw[kept].astype(np.int64)), axis=1)
    return {
        "stored": Stored(folder, rows, kept, keys, error, called),
        "index": index[kept],
        "draw": draw[kept],
        "relative_error": error,
        "converged": status[kept] == STATUSES.index("converged"),
        "left_out": bad,
    }


def prefix_rows(
    rows: Rows,
    folder: Path,
    manifest: Manifest,
    num_samples: int,
    draws: int,
    part: slice = WHOLE,
    called: str | None = None,
) -> tuple[NDArray[np.int64], dict[str, NDArray[Any]]]:
    """The numbers (n,) of the rows of a prefix, each (index, draw) once, including originals that
    were left out; and the small columns of all rows, `status` as a number among `STATUSES`.

    Raises:
        BrokenError: files or rows that the set cannot have.
        RequestError: the prefix is not complete.
    """
    check_files(rows, manifest)
    name, count = called or str(folder), len(range(num_samples)[part]) * draws
    data, kind = manifest.identity["data"], manifest.identity["canvas"]["kind"]
    first_row, end = data.get("slice") or (0, data["rows"] or num_samples)
    if end - first_row < num_samples:
        raise RequestError(
            f"{num_samples} {kind}s requested, but the split of {name} has {end - first_row}"
        )
    _check_there(len(rows), count, folder, manifest, called)
    wanted = data_order(data, num_samples)
    names = ("index", "draw", "status", "relative_error")
    columns = dict(zip(names, rows.columns(*names), strict=True))
    check_small(name, columns, manifest)
    index, draw, status = (columns[name] for name in names[:3])
    first = first_of_each(index, draw, status == STATUSES.index(UNREADABLE))
    check_copies(name, rows, columns, first, manifest)
    first = first[np.isin(index[first], wanted[part]) & (draw[first] < draws)]
    _check_there(len(first), count, folder, manifest, called)
    identity = dict(zip(wanted.tolist(), data["first"], strict=False))
    seen = first[status[first] != STATUSES.index(UNREADABLE)]
    check_hashes(name, index[seen], rows.values("canvas_hash", seen), identity, kind)
    return first, columns


def _check_there(
    there: int, count: int, folder: Path, manifest: Manifest, called: str | None
) -> None:
    """Raise if there are fewer rows than requested."""
    if there >= count:
        return
    told = f"holds {there} of {count} inversions"
    done = manifest.complete
    if called is not None and done is not None and count <= done["num_samples"] * done["draws"]:
        raise BrokenError(called, f"it {told}")
    raise RequestError(
        f"{called or folder} {told} (finished: {_finished(manifest)}); run its command again to"
        " continue it"
    )


def _finished(manifest: Manifest) -> str:
    done, kind = manifest.complete, manifest.identity["canvas"]["kind"]
    return "none" if done is None else f"{done['num_samples']} {kind}s, {done['draws']} draws"
