"""Repos of strangers, looked at before weights are fetched or anything is built."""

from dataclasses import dataclass
from typing import Any, Literal

from stir_hf import hub
from stir_hf.errors import RequestError
from stir_hf.models.load.files import CONFIG, read_json
from stir_hf.space.asked import Limits
from stir_hf.space.guards.settings import check_network, check_processor


@dataclass(frozen=True)
class Looked:
    """A checkpoint that was looked at."""

    place: str
    """A folder, or `id@commit`."""
    weights: int = 0
    """Bytes of its weights on the Hub."""


def check_weights(name: str, limits: Limits) -> Looked:
    """Look at a checkpoint on the Hub: at what it holds, and at its configuration.

    Raises:
        RequestError: there is no such model, it is an adapter alone, or it is too large in one way
            or another.
    """
    place, files = _look(name, "model")
    if "adapter_config.json" in files and CONFIG not in files:
        raise RequestError(f"model {name} is an adapter, which is not taken here; merge it first")
    weights = {file: size for file, size in files.items() if file.endswith(".safetensors")}
    size = weights.get("model.safetensors", sum(weights.values()))
    _check_size(f"model {name}", size, limits.weights, " of weights")
    settings = [file for file in files if _is_read(file)]
    for file in settings:
        _check_size(f"{file} of model {name}", files[file], limits.settings)
    _check_settings(name, place, settings, limits)
    return Looked(place, size)


def _is_read(file: str) -> bool:
    """Return True for a small file that the loader may read."""
    told = any(word in file for word in ("config", "processor", ".index."))
    plain = "/" not in file and not file.startswith("tokenizer")
    return told and plain and file.endswith(".json")


def _check_settings(name: str, place: str, files: list[str], limits: Limits) -> None:
    repo, commit = hub.split_revision(place)
    folder = hub.fetch(hub.resolve(repo, commit, "model"), files)
    for file in files:
        check = check_processor if "processor" in file else check_network
        check(f"model {name}", read_json(folder / file), limits)


def check_published(name: str, limits: Limits) -> str:
    """Return the id of a repo of inversions at its commit, from what the Hub says that it holds.

    Raises:
        RequestError: there is no such repo, or it is too large.
    """
    place, files = _look(name, "dataset")
    _check_size(f"dataset {name}", sum(files.values()), limits.published)
    return place


def _look(name: str, kind: Literal["model", "dataset"]) -> tuple[str, dict[str, int]]:
    """Return the id of a repo at its commit, and the sizes of its files."""
    import huggingface_hub

    repo, revision = hub.split_revision(name)
    with hub.hub_errors(repo, revision, kind):
        about: Any = huggingface_hub.HfApi().repo_info(
            repo, repo_type=kind, revision=revision, files_metadata=True, timeout=20
        )
    files = {file.rfilename: file.size or 0 for file in about.siblings or []}
    return f"{repo}@{about.sha}", files


def _check_size(what: str, size: int, most: int, of_what: str = "") -> None:
    if size > most:
        size_told, most_told = f"{size / 1e6:.0f} MB{of_what}", f"{most / 1e6:.0f} MB"
        raise RequestError(f"{what} has {size_told}; at most {most_told} are taken here")
