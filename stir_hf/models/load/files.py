"""The files of a checkpoint: their location, and checks before anything large is read."""

import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from stir_hf import hub
from stir_hf.errors import RequestError, one_line
from stir_hf.hub import is_local
from stir_hf.models.load.spec import ModelSpec
from stir_hf.pointers import check_pointer

CONFIG, WEIGHTS = "config.json", "model.safetensors"
ADAPTER_CONFIG, ADAPTER = "adapter_config.json", "adapter_model.safetensors"
_INDEXED = ".safetensors.index.json"
INDEX = f"model{_INDEXED}"
NAMED = "transformers_weights"
"""The entry of a configuration that names the weights file, if its name is not the usual one."""
_USUAL = ("pytorch_model", "adapter_model", "tf_model", "flax_model")
_NO_WEIGHTS = ("training_args", "optimizer", "scheduler", "rng_state", "scaler")
_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".h5", ".msgpack")
_CONVERT = "https://huggingface.co/spaces/safetensors/convert"


@dataclass(frozen=True)
class Place:
    """A folder that `from_pretrained` reads."""

    folder: Path
    commit: str | None
    """The commit on the Hub; None for a local folder."""
    adapter: bool = False
    """True if the folder holds only an adapter, without the weights of its base."""
    repo: hub.Found | None = None
    """The repo of the files, if its list of files is not available."""
    notes: tuple[str, ...] = ()


@contextmanager
def located(spec: ModelSpec) -> Iterator[Place]:
    """The folder from which a checkpoint is loaded; its files are fetched from the Hub and checked.

    Adapter files next to full weights are hidden from transformers, which would apply them only
    if peft is installed.

    Raises:
        RequestError: no such checkpoint; missing, broken or pickled weights.
    """
    place = _find(spec)
    with ExitStack() as stack:
        if not place.adapter and (place.folder / ADAPTER_CONFIG).is_file():
            staged = Path(stack.enter_context(TemporaryDirectory(prefix="stir-hf-")))
            for path in place.folder.iterdir():
                if not path.name.startswith("adapter_"):
                    (staged / path.name).symlink_to(path.resolve())
            note = "an adapter lies beside the full weights and is not applied"
            place = replace(place, folder=staged, notes=(note,))
        stack.enter_context(code_told(place))
        yield place


@contextmanager
def code_told(place: Place) -> Iterator[None]:
    """Replace an error about code files of a checkpoint that are missing from the Hub's cache.

    Raises:
        RequestError: the error that names the missing files, in place of the original one.
    """
    try:
        yield
    except RequestError as error:
        said = str(error.__cause__)
        asked = dict.fromkeys(re.findall(r"\w+\.py\b", said) if str(place.folder) in said else ())
        lacking = [name for name in asked if not (place.folder / name).is_file()]
        if place.repo is None or not lacking:
            raise
        raise hub.not_cached(place.repo, lacking) from error


def _find(spec: ModelSpec) -> Place:
    """The folder of a checkpoint, fetched and checked."""
    if not is_local(spec.model):
        called, found = f"model {spec.model}", hub.resolve(spec.model, spec.revision, "model")
        with hub.only_cached(found):
            adapter = _check_names(called, found.files, found.folder)
        repo = None if found.listed else found
        place = Place(hub.fetch(found, _needed(found)), found.commit, adapter, repo)
    elif spec.revision:
        raise RequestError(f"model {spec.model} is a folder and has no revision {spec.revision!r}")
    else:
        folder = Path(spec.model).expanduser()
        if not folder.is_dir():
            raise hub.no_such_folder(str(folder), "model folder")
        called, names = f"model folder {folder}", [path.name for path in folder.iterdir()]
        place = Place(folder, None, _check_names(called, names, folder))
    _check_weights(called, place)
    return place


def _needed(found: hub.Found) -> list[str]:
    """The files of a repo that `from_pretrained` reads: the small files, and the weights under
    their usual name, else those in the index of the weights, else all weights.
    """
    files = found.files
    named = read_json(found.folder / CONFIG).get(NAMED) if CONFIG in files else None
    top = [name for name in files if "/" not in name]
    own_code = any(name.endswith(".py") for name in top)  # its code may read other files
    readable = [name for name in top if name.endswith((".json", ".py", ".txt"))]
    small = [name for name in readable if own_code or _is_configuration(name)]
    weights = [name for name in top if name.endswith(".safetensors")]
    if named is not None:
        return [*small, *weights]
    if WEIGHTS in top:
        return [*small, WEIGHTS]
    if INDEX in top and (shards := _shards(found.called, hub.fetch(found, [INDEX]) / INDEX)):
        weights = [name for name in shards if name in weights or not found.listed]
    return [*small, *weights]


def _is_configuration(name: str) -> bool:
    """Return True for a small file that transformers reads for a network over images."""
    told = "config" in name or "processor" in name or name.endswith(_INDEXED)
    return told and not name.startswith("tokenizer")


def _check_weights(called: str, place: Place) -> None:
    """Raise RequestError if a weights file that would be read is broken, is a pointer of git-lfs or
    git-annex, or is named by an index of shards and is not safetensors beside it.
    """
    from safetensors import SafetensorError, safe_open

    folder = place.folder
    first = [folder / ADAPTER] if place.adapter else _entries(folder)
    indexes = [path for path in first if path.name.endswith(_INDEXED)]
    shards = [folder / name for path in indexes for name in _shards(called, path)]
    there = (path for path in shards if os.path.lexists(path))
    for path in dict.fromkeys((*first, *there)):
        if path.suffix != ".safetensors":
            continue
        check_pointer(path)
        try:
            with safe_open(path, "pt"):
                pass
        except (SafetensorError, OSError) as error:
            raise RequestError(
                f"weights {path} are broken or truncated: {one_line(error)}"
            ) from error


def _check_names(called: str, names: Sequence[str], folder: Path) -> bool:
    """Check the names of files, and return whether they are those of an adapter only."""
    top = [name for name in names if "/" not in name]
    adapter = CONFIG not in top and ADAPTER_CONFIG in top
    if not adapter and CONFIG not in top:
        raise RequestError(f"{called} has no config.json; expected the files of `save_pretrained`")
    named = None if adapter else read_json(folder / CONFIG).get(NAMED)
    check_named(called, named)
    if any(name in top for name in ((ADAPTER,) if adapter else (WEIGHTS, INDEX, named))):
        return adapter
    weights = (name for name in top if name.startswith("adapter_") == adapter)
    pickled = [n for n in weights if n.endswith(_PICKLED) and not n.startswith(_NO_WEIGHTS)]
    if pickled:
        raise _pickled(called, min(pickled, key=lambda n: (not n.startswith(_USUAL), n)))
    expected = ADAPTER if adapter else WEIGHTS
    raise RequestError(f"{called} has no weights; expected {expected}")


def check_named(called: str, named: Any) -> None:
    """Raise RequestError if a configuration names weights that are not safetensors in its folder:
    transformers reads them even with `use_safetensors=True`.
    """
    if named is None:
        return
    if not isinstance(named, str) or "/" in named or "\\" in named:
        raise RequestError(
            f"{called}: {NAMED} in config.json is {named!r}; expected a file beside it"
        )
    if not named.endswith((".safetensors", _INDEXED)):
        raise _pickled(called, named)


def _shards(called: str, index: Path) -> list[str]:
    """The files that an index names, all of them safetensors in its folder."""
    places = read_json(index).get("weight_map")
    names = list(places.values()) if isinstance(places, dict) else []
    for name in names:
        plain = isinstance(name, str) and "/" not in name and "\\" not in name
        if plain and name.endswith(_PICKLED):
            raise _pickled(called, name)
        if not plain or not name.endswith(".safetensors"):
            raise RequestError(
                f"{called}: {index.name} names {name!r}; expected safetensors beside it"
            )
    return list(dict.fromkeys(names))


def _entries(folder: Path) -> list[Path]:
    """The files with which `from_pretrained` may begin: the weights that the configuration names,
    else the usual single file, else the usual index of shards.
    """
    if not (folder / CONFIG).is_file():
        return []
    config = read_json(folder / CONFIG)
    versions = config.get("configuration_files")  # one of these is read in place of config.json
    names = versions if isinstance(versions, list | dict) else ()
    others = [folder / name for name in names if isinstance(name, str)]
    configs = [config, *(read_json(path) for path in others if path.is_file())]
    usual = WEIGHTS if os.path.lexists(folder / WEIGHTS) else INDEX
    weights = dict.fromkeys(one.get(NAMED) or usual for one in configs)
    found = [folder / name for name in weights if isinstance(name, str)]
    return [path for path in found if os.path.lexists(path)]


def _pickled(called: str, name: str) -> RequestError:
    return RequestError(
        f"{called} has pickled weights only ({name}), which can run code; write them as"
        f" safetensors with `save_pretrained`, or convert the repo at {_CONVERT}"
    )


def needs_timm(folder: Path) -> bool:
    """Return whether a checkpoint is from timm, whose configurations have no `model_type`."""
    return (folder / CONFIG).is_file() and "pretrained_cfg" in read_json(folder / CONFIG)


def read_json(path: Path) -> dict[str, Any]:
    """Read a configuration file.

    Raises:
        RequestError: it cannot be read, or is not a JSON object.
    """
    check_pointer(path)
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RequestError(f"{path} is not a JSON object: {one_line(error)}") from error
    if not isinstance(found, dict):
        raise RequestError(f"{path} is not a JSON object, but {type(found).__name__}")
    return found
