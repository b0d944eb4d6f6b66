"""Where inversion sets are: in a folder, or in a dataset repo on the Hub."""

import os
from pathlib import Path

from yaml import YAMLError  # type: ignore[import-untyped]  # has none

from stir_hf import hub
from stir_hf.data import folder as folders
from stir_hf.data.manifest import FILE_NAME
from stir_hf.errors import RequestError, closest, one_line

CARD = "README.md"
_SHOWN = 5


def located(name: str | os.PathLike[str], config_name: str | None = None) -> list[Path]:
    """The folders of the inversion sets under a folder, or of a dataset repo on the Hub, fetched.

    Args:
        name: a folder, a Hub id, `id@revision` or an address of the Hub.
        config_name: one of them; None is all.

    Raises:
        RequestError: there are none, or none of that name.
    """
    repo_id, revision = hub.split_revision(str(name), "dataset")
    if isinstance(name, str) and not hub.is_local(repo_id) and repo_id.count("/") == 1:
        return fetched(f"{repo_id}@{revision}" if revision else repo_id, config_name)
    sets = find_sets(Path(name))
    if config_name is None:
        return sets
    names = [path.name for path in sets]
    if config_name not in names:
        hint = closest(config_name, names)
        raise RequestError(f"no inversion set {config_name!r} in {name}; {hint}")
    return [path for path in sets if path.name == config_name]


def find_sets(path: Path) -> list[Path]:
    """The folders of the inversion sets at or under `path`.

    Raises:
        RequestError: there are none.
    """
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
    """The configs that a card lists.

    Raises:
        RequestError: a card whose YAML cannot be read.
    """
    from huggingface_hub import DatasetCard

    try:
        configs = DatasetCard(hub.with_metadata(card)).data.get("configs") or []
        return [str(one["config_name"]) for one in configs]
    except (ValueError, TypeError, KeyError, YAMLError) as error:
        raise RequestError(f"a dataset card cannot be read: {one_line(error)}") from error


def fetched(name: str, config_name: str | None = None) -> list[Path]:
    """The folders of the inversion sets of a repo, fetched, by name; a set that the card does not
    list counts as absent.

    Args:
        name: Hub id, or `id@revision`.
        config_name: one of them; None is all.

    Raises:
        RequestError: no such repo, none that this token may see, or no inversions in it.
    """
    repo_id, revision = hub.split_revision(name)
    found = hub.resolve(repo_id, revision, "dataset")
    hub.fetch(found, [CARD])
    text = (found.folder / CARD).read_text("utf-8") if CARD in found.files else ""
    there = {f.rpartition("/")[0] for f in found.files if f.count("/") == 1 and _is_set(f)}
    sets = sorted(there & set(listed(text)))
    if not sets:
        raise RequestError(f"dataset {name} holds no inversions; {_held(listed(text), found)}")
    if config_name is not None:
        if config_name not in sets:
            hint = closest(config_name, sets)
            raise RequestError(f"no inversion set {config_name!r} in {name}; {hint}")
        sets = [config_name]
    files = [f for f in found.files if f.rpartition("/")[0] in sets]
    folder = hub.fetch(found, files)
    return [folder / one for one in sets]


def _is_set(path: str) -> bool:
    return path.endswith(f"/{FILE_NAME}")


def _held(configs: list[str], found: hub.Found) -> str:
    """What the repo holds instead."""
    if configs:
        return f"it holds the configs {', '.join(configs[:_SHOWN])}"
    files = [f for f in found.files if not f.startswith(".")]
    return f"it holds {', '.join(files[:_SHOWN])}" if files else "it is empty"
