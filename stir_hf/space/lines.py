"""The command line and the Python lines that compute what a request computed."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from stir_hf.demo import MODELS
from stir_hf.options.flags import command
from stir_hf.space.asked import EMBEDDED, Comparison

IN_A_CLONE = "The command is for a clone of the package's repository, which holds what is embedded."
WITH_FILES = "FOLDER is where your images are."


def of_comparison(request: Comparison, config: Mapping[str, Any]) -> dict[str, str]:
    """`command`, `python` and `where`: a word about it, or nothing.

    Args:
        request: what was asked.
        config: of its result, which says at which commits the Hub's models and images were read.
    """
    commits = {about["model"]: about["revision"] for about in config["models"]}
    places = {name: _at(name, commits.get(name)) for name in request.names()}
    data = _data(request, config)
    options: dict[str, Any] = {"num_samples": request.images, "steps": request.steps}
    if request.uploads:
        del options["num_samples"]
    elif request.dataset != EMBEDDED:
        options["streaming"] = True
    if request.split and not request.uploads:
        options["split"] = request.split
    models = [request.model, request.reference]
    arguments = [*(_written(name, places) for name in models), "images"]
    arguments += [f"{name}={value!r}" for name, value in options.items()]
    call = f"stir_hf.compare({', '.join(arguments)})"
    folder = {EMBEDDED: "stir_hf/demo/images"}.get(request.dataset, _dataset(request, config))
    shown = {"dataset": "FOLDER" if request.uploads else folder, **options}
    return {
        "command": command("compare", [_path(name, places) for name in models], shown),
        "python": "\n".join([*_imports(models, request), "", data, call]),
        "where": _where(models, request),
    }


def of_judgement(name: str, places: Mapping[str, str], repo: str) -> dict[str, str]:
    """As `of_comparison`: a model, where it was read, on the inversions of a repo."""
    call = f"stir_hf.score({_written(name, places)}, {repo!r})"
    return {
        "command": command("score", [_path(name, places)], {"inversions": repo}),
        "python": "\n".join([*_imports([name]), "", call]),
        "where": _where([name]),
    }


def _at(name: str, commit: str | None) -> str:
    return f"{name.partition('@')[0]}@{commit}" if commit else name


def _path(name: str, places: Mapping[str, str]) -> str:
    return f"stir_hf/demo/models/{name}" if name in MODELS else places[name]


def _written(name: str, places: Mapping[str, str]) -> str:
    return f"model_path({name!r})" if name in MODELS else repr(places[name])


def _dataset(request: Comparison, config: Mapping[str, Any]) -> str:
    return _at(request.dataset, config["data"][0]["data_revision"])


def _data(request: Comparison, config: Mapping[str, Any]) -> str:
    """The line that says what the images are."""
    if request.uploads:
        names = ", ".join(repr(Path(path).name) for path in request.uploads)
        return f'images = [Image.open(f"FOLDER/{{name}}") for name in [{names}]]'
    if request.dataset == EMBEDDED:
        return "images = str(IMAGES)"
    return f"images = {_dataset(request, config)!r}"


def _imports(models: Iterable[str], request: Comparison | None = None) -> list[str]:
    embedded = [] if request is None or not _embeds_images(request) else ["IMAGES"]
    embedded += ["model_path"] if set(models) & set(MODELS) else []
    lines = ["import stir_hf"]
    if request is not None and request.uploads:
        lines.insert(0, "from PIL import Image\n")
    return lines + ([f"from stir_hf.demo import {', '.join(embedded)}"] if embedded else [])


def _where(models: Sequence[str], request: Comparison | None = None) -> str:
    embedded = bool(set(models) & set(MODELS)) or (request is not None and _embeds_images(request))
    files = request is not None and request.uploads
    return " ".join(([IN_A_CLONE] if embedded else []) + ([WITH_FILES] if files else []))


def _embeds_images(request: Comparison) -> bool:
    return not request.uploads and request.dataset == EMBEDDED
