"""Lookup of inversion sets in a folder or in a dataset repo on the Hub."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml  # type: ignore[import-untyped]  # has none
from huggingface_hub.repocard import REGEX_YAML_BLOCK

from stir_hf import hub
from stir_hf.data.files.broken import BrokenError
from stir_hf.data.files.schema import LARGEST
from stir_hf.data.files.shards import is_rows
from stir_hf.data.sets import folder as folders
from stir_hf.data.sets.manifest import FILE_NAME
from stir_hf.errors import RequestError, closest, one_line

CARD = "README.md"
_SHOWN = 5


@dataclass(frozen=True)
class Place:
    """The location of an inversion set."""

    path: Path
    """The folder of the set."""
    called: str | None = None
    """Name of the set in messages, with repo and commit; None for a local folder."""


def located(name: str | os.PathLike[str], config_name: str | None = None) -> list[Place]:
    """The inversion sets under a folder, or those of a dataset repo on the Hub, which are fetched:
    all, or the one named `config_name`.

    Raises:
        RequestError: no inversion set, or none of that name.
    """
    repo_id, revision = hub.split_revision(str(name), "dataset")
    if isinstance(name, str) and not hub.is_local(repo_id) and repo_id.count("/") == 1:
        return fetched(f"{repo_id}@{revision}" if revision else repo_id, config_name)
    sets = {path.name: Place(path) for path in find_sets(Path(name))}
    return [sets[one] for one in _asked(config_name, list(sets), name)]


def _asked(config_name: str | None, sets: list[str], name: object) -> list[str]:
    """The sets, or the one of that name; `name` is that of the folder or repo in messages."""
    if config_name is None:
        return sets
    if config_name not in sets:
        hint = closest(config_name, sets)
        raise RequestError(f"no inversion set {config_name!r} in {name}; {hint}")
    return [config_name]


def only_set(name: str | os.PathLike[str]) -> Place:
    """The only inversion set of a folder or repo; raises RequestError and names them if several."""
    first, *others = located(name)
    if not others:
        return first
    several = f"{name} holds {1 + len(others)} inversion sets"
    if first.called is not None:
        names = ", ".join(one.path.name for one in (first, *others))
        raise RequestError(f"{several} ({names}); take one of Inversions.load_all's")
    shown = ", ".join(str(one.path) for one in (first, *others))
    raise RequestError(f"{several}; give one: {shown}")


def find_sets(path: Path) -> list[Path]:
    """The folders of the inversion sets at or under `path`; raises RequestError without any."""
    if not hub.is_there(str(path)):
        raise hub.no_such_folder(str(path), "folder of inversions")
    path = path.expanduser()
    if (path / FILE_NAME).is_file():
        return [path]
    parent = path / folders.SETS if (path / folders.SETS).is_dir() else path
    sets = sorted(p.parent for p in parent.glob(f"*/{FILE_NAME}"))
    if not sets:
        raise RequestError(
            f"no inversions at {path}; expected a folder that `stir-hf invert --out` wrote"
        )
    return sets


def listed(card: str) -> list[str]:
    """The configs that a card lists; raises RequestError if its YAML cannot be read."""
    block = REGEX_YAML_BLOCK.search(card)
    try:
        data = yaml.safe_load(block.group(2)) if block else None
        configs = (data.get("configs") if isinstance(data, dict) else data) or []
        return [str(one["config_name"]) for one in configs]
    except (ValueError, TypeError, KeyError, RecursionError, yaml.YAMLError) as error:
        raise RequestError(f"a dataset card cannot be read: {one_line(error)}") from error


def fetched(name: str, config_name: str | None = None) -> list[Place]:
    """Fetch the inversion sets of a repo, all or the one named `config_name`, and return them by
    name; a set that the card does not list counts as absent. No other files are fetched.

    Raises:
        RequestError: the repo does not exist or is not visible to this token, holds no inversions,
            or has an unreadable card.
    """
    repo_id, revision = hub.split_revision(name)
    found = hub.resolve(repo_id, revision, "dataset")
    hub.fetch(found, [CARD])
    configs = _configs(found)
    there = {one for one in configs if "/" not in one and f"{one}/{FILE_NAME}" in found.files}
    sets = sorted(there)
    if not sets:
        raise RequestError(f"dataset {name} holds no inversions; {_held(configs, found)}")
    asked = _asked(config_name, sets, name)
    called = {one: f"set {one} of dataset {repo_id} at {found.commit}" for one in asked}
    _check_sizes(found, called)
    folder = hub.fetch(found, [f for f in found.files if _is_of(f, asked)])
    return [Place(folder / one, name) for one, name in called.items()]


def _configs(found: hub.Found) -> list[str]:
    if CARD not in found.files:
        return []
    try:
        return listed((found.folder / CARD).read_text("utf-8-sig"))
    except ValueError as error:  # not UTF-8, or an error of `listed`
        raise RequestError(
            f"the card of dataset {found.repo_id} at {found.commit} cannot be read:"
            f" {one_line(error)}"
        ) from error


def _check_sizes(found: hub.Found, called: Mapping[str, str]) -> None:
    """Raise if an `inversions.json` is far too large, before it is fetched."""
    for folder, whose in called.items():
        size = found.sizes.get(f"{folder}/{FILE_NAME}", 0)
        if size > LARGEST:
            raise BrokenError(whose, f"{FILE_NAME} has {size} bytes; expected at most {LARGEST}")


def _is_of(path: str, sets: Sequence[str]) -> bool:
    """Return whether a file of a repo is one of those that these sets consist of."""
    folder, _, name = path.rpartition("/")
    return folder in sets and (name == FILE_NAME or is_rows(name))


def _held(configs: list[str], found: hub.Found) -> str:
    """Describe in words what the repo holds instead."""
    if configs:
        return f"it holds the configs {', '.join(configs[:_SHOWN])}"
    files = [f for f in found.files if not f.startswith(".")]
    return f"it holds {', '.join(files[:_SHOWN])}" if files else "it is empty"
