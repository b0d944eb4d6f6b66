"""The finished rows of an inversion set: those of its first images in the order of the data."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stir_hf.data.identity import data_order
from stir_hf.data.manifest import Manifest
from stir_hf.data.rows import STATUSES, UNREADABLE, Rows, first_of_each
from stir_hf.data.shards import files_of
from stir_hf.data.stored import Stored
from stir_hf.errors import RequestError

WHOLE = slice(None)
"""All positions of a prefix, where not a part is meant."""


def selected(
    folder: Path,
    manifest: Manifest,
    num_samples: int,
    draws: int,
    part: slice = WHOLE,
) -> dict[str, Any]:
    """The rows of a prefix, or of a part of it, each (index, draw) once, without the images that
    were left out.
    """
    rows = Rows(files_of(folder))
    first, columns = prefix_rows(rows, folder, manifest, num_samples, draws, part)
    index, draw, status = columns["index"], columns["draw"], columns["status"]
    left_out = first[status[first] >= STATUSES.index("not_finite")]
    bad = {int(index[i]): STATUSES[status[i]] for i in left_out}
    kept = first[~np.isin(index[first], sorted(bad))]
    error = np.asarray(columns["relative_error"], np.float32)[kept]
    keys = np.stack((index[kept], draw[kept].astype(np.int64)), axis=1)
    return {
        "stored": Stored(folder, rows, kept, keys, error),
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
) -> tuple[NDArray[np.int64], dict[str, NDArray[Any]]]:
    """Where the rows of a prefix stand, (n,), each (index, draw) once, those of images that were
    left out included; and the small columns of all rows, `status` as a number among `STATUSES`.

    Raises:
        RequestError: not all of that prefix is there.
    """
    data = manifest.identity["data"]
    wanted = data_order(data, num_samples)
    if len(wanted) < num_samples:
        raise RequestError(
            f"{num_samples} images asked for, but the split of {folder} has {len(wanted)}"
        )
    wanted = wanted[part]
    names = ("index", "draw", "status", "relative_error")
    columns = dict(zip(names, rows.columns(*names), strict=True))
    index, draw, status = (columns[name] for name in names[:3])
    first = first_of_each(index, draw, status == STATUSES.index(UNREADABLE))
    first = first[np.isin(index[first], wanted) & (draw[first] < draws)]
    if len(first) < len(wanted) * draws:
        raise RequestError(
            f"{folder} holds {len(first)} of {len(wanted) * draws} inversions (finished:"
            f" {_finished(manifest)}); run the command that makes them again, and it continues"
        )
    return first, columns


def _finished(manifest: Manifest) -> str:
    done = manifest.complete
    return "none" if done is None else f"{done['num_samples']} images, {done['draws']} draws"
