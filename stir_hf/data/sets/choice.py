"""The choice of the inversion sets to score, and the originals that they have in common."""

import os
from collections.abc import Collection, Mapping, Sequence
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
    """The inversions to score: one set of several, or a prefix of each."""

    set: str | None = option(
        None, "Score only the inversion set of this name; default: all sets.", metavar="NAME"
    )
    num_samples: int | None = option(
        None, "Score only the first N inputs of each set; default: all completed ones.", metavar="N"
    )
    draws: int | None = option(
        None,
        "Use only the first K inversions of each input; default: all completed ones.",
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
    """The inversion sets to score: of one kind of input, made with equal options of the engine
    except for seed and draws.

    Raises:
        RequestError: no such set, an incomplete prefix, or sets whose scores are different
            estimates; the options that differ are named.
    """
    sets = _found(given, which)
    engines = [_engine(one) for one in sets]
    unset = {name: "unset" for engine in engines for name in engine}
    if told := _differing(sets, [unset | engine for engine in engines]):
        raise RequestError(
            f"the inversion sets differ in {told}; their scores are different estimates and cannot"
            " be compared",
            "; choose one set with --set, or sets made with the same options",
        )
    return sets


def _engine(one: Inversions) -> dict[str, Any]:
    """The options of the engine that all sets of a table share, in words; a seed is only a draw."""
    engine = one.manifest.identity["engine"]
    found = {name: _word(value) for name, value in engine.items() if name != "seed"}
    return {"kind": one.kind.name, **found}


def _word(value: Any) -> Any:
    """A part as its name and options, such as `adam-polyak:length=1.5`; another value as it is."""
    if not isinstance(value, Mapping):
        return value
    options = [f"{k}={v}" for k, v in value.items() if k not in ("name", "version")]
    version = "" if value["version"] == 1 else f" version {value['version']}"
    return f"{value['name']}{version}" + (f":{','.join(options)}" if options else "")


def _differing(sets: Sequence[Inversions], settings: Sequence[Mapping[str, Any]]) -> str:
    """The settings that differ between sets, in words, with the names of the sets by value."""
    found: dict[str, dict[str, dict[str, None]]] = {}
    for one, its in zip(sets, settings, strict=True):
        for name, value in its.items():
            found.setdefault(name, {}).setdefault(str(value), {})[one.path.name] = None
    return "; ".join(
        f"{name}: " + ", ".join(f"{v} ({' '.join(of)})" for v, of in values.items())
        for name, values in found.items()
        if len(values) > 1
    )


_PRECISION = ("dtype", "tf32", "autocast", "compile")


def unlike(sets: Sequence[Inversions]) -> str | None:
    """A note on the settings that differ between the sets of one table, or None."""
    if not (told := _differing(sets, [_settings(one) for one in sets])):
        return None
    return (
        f"the inversion sets differ in {told}; their scores are different estimates."
        " Judge on sets that were made alike, or on one by itself"
    )


def _settings(one: Inversions) -> dict[str, Any]:
    """The settings that scores of one table should share. Every network has its own canvas with
    its own originals, so those are compared only between sets of one network.
    """
    identity, names = one.manifest.identity, one.manifest.names
    engine, network, data = identity["engine"], identity["network"], identity["data"]
    mine = str(network["weights"])[:8]
    canvas = [v for k, v in identity["canvas"].items() if k != "kind"]
    canvas.append(str(network.get("processor"))[:8])
    return {
        "seed": engine.get("seed"),
        **{name: network["precision"].get(name, False) for name in _PRECISION},
        "draws": one.draws,
        "data": [names.get("dataset"), names.get("split"), data["rows"], data.get("slice")],
        f"canvas of {mine}": canvas,
        f"first {one.kind.name}s of {mine} {canvas}": hash_of(data["first"])[:8],
    }


def of_hashes(folder: Path, hashes: Collection[str]) -> list[Inversions]:
    """The sets under a folder whose hashes begin with these 16 digits, by name; other sets in the
    folder are ignored.
    """
    found = [path for path in find_sets(folder) if Manifest.read(path).hash[:16] in hashes]
    return [Inversions.read(path) for path in found]


def _found(
    given: "Inversions | str | os.PathLike[str] | Sequence[Inversions]", which: SetConfig
) -> list[Inversions]:
    size = which.num_samples, which.draws
    if isinstance(given, str | os.PathLike):
        found = located(given, which.set)
        return [Inversions.read(one.path, *size, called=one.called) for one in found]
    sets = [given] if isinstance(given, Inversions) else given
    if not isinstance(sets, list | tuple) or not sets:
        raise RequestError(f"{_ASKED}, not {given!r}")
    for one in sets:
        if not isinstance(one, Inversions):
            raise RequestError(f"{_ASKED}, not a list with {one!r}")
    return [one.prefix(*size) for one in sets]


def on_common_originals(sets: Sequence[Inversions]) -> list[Inversions]:
    """The sets, restricted to the originals that could be inverted in all of them."""
    common = set.intersection(*(set(s.index.tolist()) for s in sets))
    lost = {index: why for one in sets for index, why in one.left_out.items()}
    return [one.restrict_to(common, lost) for one in sets]


def common_mode(sets: Sequence[Inversions]) -> str | None:
    """The mode of the canvases of all sets; None for inputs without modes.

    Raises:
        RequestError: modes that differ.
    """
    modes = sorted({str(s.manifest.identity["canvas"].get("mode")) for s in sets})
    if len(modes) > 1:
        raise RequestError(
            f"the inversion sets have images of different modes ({', '.join(modes)}); give one set"
        )
    return None if modes == ["None"] else modes[0]
