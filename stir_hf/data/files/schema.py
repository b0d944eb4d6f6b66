"""Schema of `inversions.json`, which may come from an untrusted source."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stir_hf.data.identity import PROBE_TOLERANCE
from stir_hf.engine import CONSTRAINTS, OBJECTIVES, RULES, STARTS, Given, Restarts, Tolerance
from stir_hf.errors import RequestError
from stir_hf.expected import Flag, ListOf, MapOf, Maybe, Real, Record, Text, Whole, got
from stir_hf.inputs.base import kind_named
from stir_hf.registry import OptionError

LARGEST = 10_000_000
"""Size limit of the file in bytes, ten times that of a set with a hundred runs."""

_DEEPEST = 32


@dataclass(frozen=True)
class Limit:
    """A tolerance, as the engine spells it."""

    def fault(self, value: Any, where: str) -> str | None:
        """Return the problem with a value in words, or None, like `Expected.fault`."""
        try:
            Tolerance.parse(value)
        except (RequestError, OverflowError):
            return f"{where} must be a positive number or spread:X{got(value)}"
        return None


@dataclass(frozen=True)
class Again:
    """Restarts, as the engine spells them."""

    def fault(self, value: Any, where: str) -> str | None:
        """Return the problem with a value in words, or None, like `Expected.fault`."""
        try:
            Restarts.parse(value)
        except RequestError:
            return f"{where} must be a whole number from 1 on or stalled{got(value)}"
        return None


_COUNT, _HASH, _NAME = Whole(1, 1_000_000_000), Text(), Maybe(Text())
_ROWS = Whole(1, 1 << 28)
"""Number of rows of a split, limited since its permutation is kept in memory."""
_PART = Record({"name": Text(), "version": Whole(0, 1_000_000)})
_PROBE = ListOf(Real(finite=False), 4096)

MANIFEST = Record(
    {
        "identity": Record(
            {
                "network": Record(
                    {"weights": _HASH, "precision": Record({"dtype": Text(tuple(PROBE_TOLERANCE))})}
                ),
                "canvas": Record({"kind": Text()}),
                "data": Record(
                    {
                        "order": Text(("permuted", "stream")),
                        "rows": Maybe(_ROWS),
                        "first": ListOf(Maybe(_HASH), 4),
                        "slice?": ListOf(Whole(0, _ROWS.most), 2, 2),
                        "shuffle_buffer?": _COUNT,
                    }
                ),
                "engine": Record(
                    {
                        "method": _PART,
                        "start": _PART,
                        "constraint": _PART,
                        "steps": _COUNT,
                        "tolerance": Limit(),
                        "seed": Whole(0, 10**40),
                        "exact": Flag(),
                        "starts?": _HASH,
                        "objective?": _PART,
                        "restarts?": Again(),
                        "diverse?": Real(positive=True),
                    }
                ),
            }
        ),
        "probe": _PROBE,
        "first_start": _HASH,
        "names": Record(
            {
                "reference": Text(),
                "layer": _NAME,
                "revision": _NAME,
                "dataset": Text(),
                "config_name": _NAME,
                "split": _NAME,
                "data_revision": _NAME,
                "image_column": _NAME,
                "notes?": ListOf(Text(), 1000),
                "objective?": ListOf(Text(), 1000),
            }
        ),
        "complete?": Maybe(Record({"num_samples": _COUNT, "draws": Whole(1, 1_000_000)})),
        "spread?": Maybe(Real(positive=True)),
        "runs?": ListOf(MapOf(), 100_000),
        "originals?": MapOf(_PROBE),
        "settings?": MapOf(),
        "others?": ListOf(Record({"probe": _PROBE, "settings": MapOf()}), 1000),
    }
)


def read_json(path: Path) -> Any:
    """Read an untrusted JSON file.

    Raises:
        ValueError: too large, not JSON, nested too deeply, or a name twice in an object.
        OSError: it cannot be read.
    """
    if (size := path.stat().st_size) > LARGEST:
        raise ValueError(f"it has {size} bytes; expected at most {LARGEST}")
    try:
        found = json.loads(path.read_text("utf-8"), object_pairs_hook=_object)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    level = [found]
    for _ in range(_DEEPEST):
        if not (level := [inner for one in level for inner in _inside(one)]):
            return found
    raise ValueError("it is nested too deeply")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"an object holds a name twice: {', '.join(sorted(found))[:60]}")
    return found


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def fault_of(found: Mapping[str, Any]) -> str | None:
    """Return the first problem with the content of `inversions.json` in words, or None.

    Raises:
        RequestError: a kind of input that this version does not know.
    """
    if (fault := MANIFEST.fault(found, "")) is not None:
        return fault
    identity = found["identity"]
    if not _is_finite([identity, found.get("settings"), found.get("runs")]):
        return "it holds a number that is not finite"
    canvas = identity["canvas"]
    if (fault := kind_named(canvas["kind"]).fault(canvas, "identity.canvas")) is not None:
        return fault
    of_spread = isinstance(identity["engine"]["tolerance"], str)
    if of_spread and found.get("spread") is None:
        return "spread must be a number, since the tolerance is of it"
    return _fault_of_parts(identity["engine"]) or _fault_of_counts(
        identity["data"], found.get("complete")
    )


def _fault_of_parts(engine: Mapping[str, Any]) -> str | None:
    """Return the problem with the parts of an engine, or None. Unknown parts and options pass: they
    may be from a later version or registered by a user.
    """
    known: dict[str, Any] = {"method": RULES, "start": STARTS, "constraint": CONSTRAINTS}
    if "objective" in engine:
        known["objective"] = OBJECTIVES
    for name, registry in known.items():
        try:
            built = registry.build(engine[name])
        except OptionError as error:
            return f"identity.engine.{name}: {error}"
        except RequestError:
            continue
        if isinstance(built, Given) and "starts" not in engine:
            return "identity.engine.starts is missing, since the start is given"
    return None


def _fault_of_counts(data: Mapping[str, Any], done: Mapping[str, int] | None) -> str | None:
    rows = data["rows"]
    if (rows is None) != (data["order"] == "stream"):
        return "identity.data.rows must be null for a stream, and a number otherwise"
    if rows is None:
        return None
    first, end = data.get("slice", (0, rows))
    if not first < end <= rows:
        return f"identity.data.slice must be within the {rows} rows"
    if done is not None and done["num_samples"] > end - first:
        return f"complete.num_samples must be at most {end - first}, not {done['num_samples']}"
    return None


def _is_finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return all(map(_is_finite, _inside(value)))
