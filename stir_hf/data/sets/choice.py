"""Which inversion sets are judged, and on which images."""

import json
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stir_hf.data.identity import hash_of
from stir_hf.data.sets.inversions import Inversions
from stir_hf.data.sets.located import find_sets, located
from stir_hf.data.sets.manifest import Manifest
from stir_hf.errors import RequestError, as_count
from stir_hf.registry import option


@dataclass(frozen=True)
class SetConfig:
    """Which inversions are judged: one set of several, and how much of it."""

    set: str | None = option(None, "One inversion set of several, by its name.", metavar="NAME")
    num_samples: int | None = option(
        None, "The first so many images of each set; default: all that are finished.", metavar="N"
    )
    draws: int | None = option(
        None,
        "The first so many inversions of each image; default: all that are finished.",
        metavar="K",
    )

    def __post_init__(self) -> None:
        for name in ("num_samples", "draws"):
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, as_count(name, value))


_ASKED = (
    "inversions are the folder of a run or of a set, a Hub id, an Inversions or a list of those"
)


def choose(
    given: "Inversions | str | os.PathLike[str] | Sequence[Inversions]", which: SetConfig
) -> list[Inversions]:
    """The inversion sets that are judged, all made by one method from one start under one
    constraint.

    Raises:
        RequestError: no such set, a prefix of which not all is there, or several methods, starts
            or constraints: scores of different estimates stand in no table together.
    """
    sets = _found(given, which)
    made: dict[str, list[str]] = {}
    for one in sets:
        engine = one.manifest.identity["engine"]
        method, start, bounds = (engine.get(part) for part in ("method", "start", "constraint"))
        spelt = json.dumps([method, start, bounds], sort_keys=True)
        within = "" if bounds is None else f" within {bounds['name']}"
        name = f"{method['name']} from {start['name']}{within}"
        made.setdefault(spelt, [name]).append(one.path.name)
    if len(made) > 1:
        shown = "; ".join(f"{how}: {', '.join(names)}" for how, *names in made.values())
        raise RequestError(
            f"the inversion sets are of {len(made)} methods, starts or constraints, whose scores"
            f" cannot be compared ({shown}); give one of them with --set, or sets that were"
            " made alike"
        )
    return sets


def unlike(sets: Sequence[Inversions]) -> str | None:
    """Say in which settings sets differ that may stand in one table though their scores are
    different estimates; None where in none.
    """
    found: dict[str, dict[str, list[str]]] = {}
    for one in sets:
        for name, value in _settings(one).items():
            found.setdefault(name, {}).setdefault(str(value), []).append(one.path.name)
    told = [
        f"{name}: " + ", ".join(f"{v} ({' '.join(dict.fromkeys(of))})" for v, of in values.items())
        for name, values in found.items()
        if len(values) > 1
    ]
    if not told:
        return None
    return (
        f"the inversion sets differ in {'; '.join(told)}; their scores are different estimates."
        " Judge on sets that were made alike, or on one by itself"
    )


def _settings(one: Inversions) -> dict[str, Any]:
    """The settings that scores of one table should have in common; the canvas, which every network
    has for itself, and the images on it are compared between sets of one network alone.
    """
    identity, names = one.manifest.identity, one.manifest.names
    engine, network, data = identity["engine"], identity["network"], identity["data"]
    mine, canvas = str(network["weights"])[:8], [*identity["canvas"]["size"]]
    canvas.append(str(network.get("processor"))[:8])
    return {
        **{name: engine.get(name, False) for name in ("tolerance", "steps", "exact", "seed")},
        **{name: network["precision"].get(name, False) for name in ("dtype", "tf32", "autocast")},
        "draws": one.draws,
        "data": [names.get("dataset"), names.get("split"), data["rows"], data.get("slice")],
        f"canvas of {mine}": canvas,
        f"first images of {mine} {canvas}": hash_of(data["first"])[:8],
    }


def of_hashes(folder: Path, hashes: Collection[str]) -> list[Inversions]:
    """The sets under a folder whose identities begin with these 16 digits, by name; other sets
    that lie there are passed over.
    """
    found = [path for path in find_sets(folder) if Manifest.read(path).hash[:16] in hashes]
    return [Inversions.read(path) for path in found]


def _found(
    given: "Inversions | str | os.PathLike[str] | Sequence[Inversions]", which: SetConfig
) -> list[Inversions]:
    if isinstance(given, Inversions):
        return [given.prefix(which.num_samples, which.draws)]
    if not isinstance(given, str | os.PathLike):
        if not isinstance(given, list | tuple) or not given:
            raise RequestError(f"{_ASKED}, not {given!r}")
        for one in given:
            if not isinstance(one, Inversions):
                raise RequestError(f"{_ASKED}, not a list with {one!r}")
        return [one.prefix(which.num_samples, which.draws) for one in given]
    sets = located(given, which.set)
    return [
        Inversions.read(one.path, which.num_samples, which.draws, called=one.called) for one in sets
    ]


def on_common_images(sets: "Sequence[Inversions]") -> list[Inversions]:
    """The sets with the images alone that could be inverted in all of them."""
    common = set.intersection(*(set(s.index.tolist()) for s in sets))
    lost = {index: why for one in sets for index, why in one.left_out.items()}
    return [one.of(common, lost) for one in sets]


def common_mode(sets: Sequence[Inversions]) -> str:
    """The mode of the images of all sets.

    Raises:
        RequestError: modes that differ.
    """
    modes = sorted({str(s.manifest.identity["canvas"]["mode"]) for s in sets})
    if len(modes) > 1:
        raise RequestError(
            f"the inversion sets have images of different modes ({', '.join(modes)}); give one set"
        )
    return modes[0]
