"""The command line and the Python lines that compute what a request computed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stir_hf.demo import MODELS
from stir_hf.options.flags import command
from stir_hf.space.asked import EMBEDDED, Comparison

IN_A_CLONE = "The command is for a clone of the package's repository, which holds what is embedded."
WITH_FILES = "FOLDER is where your images are."


def of_comparison(request: Comparison, config: Mapping[str, Any]) -> dict[str, str]:
    """Return `command`, `python` and `where`: a note about them, or nothing. The configuration of
    the result says at which commits the models and images were read.
    """
    commits = {about["model"]: about["revision"] for about in config["models"]}
    places = [_at(name, commits.get(name)) for name in (request.model, request.reference)]
    options: dict[str, Any] = {"num_samples": request.images, "steps": request.steps}
    if request.uploads:
        names = ", ".join(repr(Path(path).name) for path in request.uploads)
        images = f'[Image.open(f"FOLDER/{{name}}") for name in [{names}]]'
        folder, options = "FOLDER", {"steps": request.steps}
    elif request.dataset == EMBEDDED:
        images, folder = "str(IMAGES)", "stir_hf/demo/images"
    else:
        folder = _at(request.dataset, config["data"][0]["data_revision"])
        images, options["streaming"] = repr(folder), True
    if request.split and not request.uploads:
        options["split"] = request.split
    arguments = [*map(_written, places), "images"]
    arguments += [f"{name}={value!r}" for name, value in options.items()]
    call = [f"images = {images}", f"stir_hf.compare({', '.join(arguments)})"]
    told = _lines(places, call, embedded=images == "str(IMAGES)", uploaded=bool(request.uploads))
    line = command("compare", [_path(place) for place in places], {"dataset": folder, **options})
    return {"command": line, **told}


def of_judgement(name: str, read: str, repo: str) -> dict[str, str]:
    """Return the same for a judgement: a model, where it was read, on the inversions of a repo."""
    place = name if name in MODELS else read
    line = command("score", [_path(place)], {"inversions": repo})
    return {"command": line, **_lines([place], [f"stir_hf.score({_written(place)}, {repo!r})"])}


def _lines(
    places: Sequence[str], call: Sequence[str], *, embedded: bool = False, uploaded: bool = False
) -> dict[str, str]:
    used = ["IMAGES"] * embedded + ["model_path"] * bool(set(places) & set(MODELS))
    imports = ["from PIL import Image\n"] * uploaded + ["import stir_hf"]
    imports += [f"from stir_hf.demo import {', '.join(used)}"] * bool(used)
    where = " ".join([IN_A_CLONE] * bool(used) + [WITH_FILES] * uploaded)
    return {"python": "\n".join([*imports, "", *call]), "where": where}


def _at(name: str, commit: str | None) -> str:
    return f"{name.partition('@')[0]}@{commit}" if commit else name


def _path(place: str) -> str:
    return f"stir_hf/demo/models/{place}" if place in MODELS else place


def _written(place: str) -> str:
    return f"model_path({place!r})" if place in MODELS else repr(place)
