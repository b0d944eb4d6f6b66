"""The files of a checkpoint: where they are, and what is refused before anything large is read."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from stir_hf import hub
from stir_hf.errors import RequestError, one_line
from stir_hf.hub import is_local
from stir_hf.models.spec import ModelSpec

CONFIG, ADAPTER_CONFIG, ADAPTER = (
    "config.json",
    "adapter_config.json",
    "adapter_model.safetensors",
)
_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".h5", ".msgpack")
_CONVERT = "https://huggingface.co/spaces/safetensors/convert"


@dataclass(frozen=True)
class Place:
    """A folder that `from_pretrained` reads."""

    folder: Path
    commit: str | None
    """The commit it came from; None for a folder of the user's."""
    adapter: bool = False
    """Whether it holds an adapter alone, without the weights of its base."""
    notes: tuple[str, ...] = ()


@contextmanager
def located(spec: ModelSpec) -> Iterator[Place]:
    """Where a checkpoint is loaded from; its files are checked, those of the Hub fetched.

    An adapter beside full weights is out of sight there: transformers would add it to them where
    peft is installed, and not elsewhere.

    Raises:
        RequestError: no such checkpoint; no, broken or only pickled weights.
    """
    place = _find(spec)
    if not place.adapter:
        read_json(place.folder / CONFIG)
    if place.adapter or not (place.folder / ADAPTER_CONFIG).is_file():
        yield place
        return
    note = "an adapter lies beside the full weights and is not applied"
    with TemporaryDirectory(prefix="stir-hf-") as staged:
        for path in place.folder.iterdir():
            if not path.name.startswith("adapter_"):
                (Path(staged) / path.name).symlink_to(path.resolve())
        yield Place(Path(staged), place.commit, notes=(note,))


def _find(spec: ModelSpec) -> Place:
    if is_local(spec.model):
        if spec.revision:
            raise RequestError(
                f"model {spec.model} is a folder and has no revision {spec.revision!r}"
            )
        folder = Path(spec.model).expanduser()
        return Place(folder, None, _check_folder(folder))
    found = hub.resolve(spec.model, spec.revision, "model")
    adapter = _check_names(f"model {spec.model}", found.files)
    return Place(hub.fetch(found, _needed(found.files)), found.commit, adapter)


def _needed(files: Sequence[str]) -> list[str]:
    """What `from_pretrained` reads of a repo: its small files and the weights under their usual
    name, else all weights.
    """
    top = [name for name in files if "/" not in name]
    small = [name for name in top if name.endswith((".json", ".py", ".txt"))]
    if "model.safetensors" in top:
        return [*small, "model.safetensors"]
    return [*small, *(name for name in top if name.endswith(".safetensors"))]


def _check_folder(folder: Path) -> bool:
    """Whether the folder holds an adapter alone."""
    from safetensors import SafetensorError, safe_open

    if not folder.is_dir():
        raise hub.no_such_folder(str(folder), "model folder")
    adapter = _check_names(f"model folder {folder}", [path.name for path in folder.iterdir()])
    for path in folder.glob("*.safetensors"):
        try:
            with safe_open(path, "pt"):
                pass
        except (SafetensorError, OSError) as error:
            raise RequestError(
                f"weights {path} are broken or truncated: {one_line(error)}"
            ) from error
    return adapter


def _check_names(called: str, names: Sequence[str]) -> bool:
    """Whether these files are those of an adapter alone.

    Raises:
        RequestError: no configuration, or no weights in safetensors.
    """
    weights = [name for name in names if not name.startswith("adapter_")]
    adapter = CONFIG not in names and ADAPTER_CONFIG in names
    if adapter:
        weights = [name for name in names if name.startswith("adapter_")]
    elif CONFIG not in names:
        raise RequestError(f"{called} has no config.json; expected what `save_pretrained` writes")
    if any(name.endswith(".safetensors") for name in weights):
        return adapter
    if pickled := [name for name in weights if name.endswith(_PICKLED)]:
        raise RequestError(
            f"{called} has pickled weights only ({pickled[0]}), which can run code; write them as"
            f" safetensors with `save_pretrained`, or convert the repo at {_CONVERT}"
        )
    raise RequestError(f"{called} has no weights; expected model.safetensors")


def needs_timm(folder: Path) -> bool:
    """Whether a checkpoint is one of timm's, whose configuration names no `model_type`."""
    return (folder / CONFIG).is_file() and "pretrained_cfg" in read_json(folder / CONFIG)


def read_json(path: Path) -> dict[str, Any]:
    """A configuration file.

    Raises:
        RequestError: it cannot be read, or holds no JSON object.
    """
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise RequestError(f"{path} is no JSON object: {one_line(error)}") from error
    if not isinstance(found, dict):
        raise RequestError(f"{path} is no JSON object, but {type(found).__name__}")
    return found
