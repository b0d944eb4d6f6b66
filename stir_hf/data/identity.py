"""Identity of an inversion set, made of content and never of names or paths.

An identity is plain data (JSON); its hash is that of its canonical JSON. The representation of a
fixed probe and the first start must agree too; they are compared instead of hashed, the
representation within a tolerance.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

PERMUTATION_SEED = 0
"""Seed of the order in which `num_samples` takes rows, independent of the run's seed."""

PROBE_TOLERANCE = {"float64": 1e-3, "float32": 1e-3, "bfloat16": 5e-2, "float16": 1e-2}
"""Relative distance up to which two representations of the probe count as the same network's."""

_PROBE_VALUES = 512


def hash_of(value: Any) -> str:
    """Hash plain data to 64 hexadecimal digits: equal data, equal digits."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def array_hash(array: NDArray[Any]) -> str:
    """Hash the dtype, shape and values of an array to 16 hexadecimal digits."""
    digest = hashlib.sha256(f"{array.dtype.str} {array.shape}".encode())
    digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def slug(name: str, digest: str) -> str:
    """The folder of a set: readable letters of the reference's name, 16 digits of the hash."""
    plain = name.partition("#")[0].rstrip("/").rpartition("/")[2]
    readable = re.sub(r"[^A-Za-z0-9_]+", "-", plain).strip("-")[:40] or "model"
    return f"{readable}-{digest[:16]}"


def local_label(path: str, digest: str) -> str:
    """Label of a local folder: the last part of its path and 8 digits of its content hash."""
    return f"{Path(path).expanduser().resolve().name or 'folder'}#{digest[:8]}"


def order_of(
    rows: int | None, count: int, candidates: Sequence[int] | None = None
) -> NDArray[np.int64]:
    """The first `count` row numbers of a split, in the order in which rows are taken.

    Args:
        rows: number of rows of the split; None for a stream, which is taken in its own order.
        count: at most the number of rows.
        candidates: the first row of a slice and the row after its last; None for the whole split.
    """
    if rows is None:
        return np.arange(count)
    order = np.random.default_rng(PERMUTATION_SEED).permutation(rows)
    if candidates is not None:
        first, end = candidates
        order = order[(order >= first) & (order < end)]
    return order[:count]


def data_order(data: Mapping[str, Any], count: int) -> NDArray[np.int64]:
    """`order_of` for the data of an identity."""
    return order_of(data["rows"], count, data.get("slice"))


def probe_record(representation: NDArray[Any], most: int = _PROBE_VALUES) -> list[float]:
    """Some values of a probe's representation (n, d), enough to tell networks apart: at most 512
    unless `most` says otherwise.
    """
    flat = np.asarray(representation, np.float64).ravel()
    some = flat[np.linspace(0, flat.size - 1, min(flat.size, most)).astype(np.int64)]
    return [float(f"{value:.8g}") for value in some]


def same_probe(found: Sequence[float], recorded: Sequence[float], dtype: str) -> bool:
    """Return whether two probe records agree up to rounding, so that the networks are the same."""
    if len(found) != len(recorded):
        return False
    a, b = np.asarray(found), np.asarray(recorded)
    if not np.array_equal(np.isfinite(a), np.isfinite(b)):
        return False
    a, b = a[np.isfinite(a)], b[np.isfinite(b)]
    return bool(np.linalg.norm(a - b) <= PROBE_TOLERANCE[dtype] * np.linalg.norm(b))


def other_entries(found: Mapping[str, Any], recorded: Mapping[str, Any]) -> list[str]:
    """The entries that two configurations share and that differ, each in words."""
    return [
        f"{name} is {found[name]!r} and was {recorded[name]!r}"
        for name in found
        if name in recorded and found[name] != recorded[name]
    ]


def same_spread(found: float | None, recorded: float | None, dtype: str) -> bool:
    """Return whether two spreads agree up to rounding; True if one of them is unknown."""
    if found is None or recorded is None:
        return True
    return abs(found - recorded) <= PROBE_TOLERANCE[dtype] * recorded
