"""What the processes of requests do: compare, judge, push."""

import base64
import io
import os
import tarfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import stir_hf
from stir_hf.demo import MODELS
from stir_hf.errors import RequestError
from stir_hf.inputs.images import to_png
from stir_hf.options import command
from stir_hf.publish import ShareConfig, boards, push_folder
from stir_hf.results import StirResult
from stir_hf.runtime import Step
from stir_hf.space.asked import (
    EMBEDDED,
    FORMATS,
    Comparison,
    Judging,
    Limits,
    check_published,
    check_uploads,
    check_weights,
    model_argument,
)
from stir_hf.space.work import Send

SHOWN = 8
"""Pairs that are shown of each end of the ranking, and images while they form."""
SIDE = 144
"""Pixels of a picture on the page, at most."""
TELL_EVERY = 0.4
"""Seconds between two pictures of what forms."""


def compare(request: Comparison, folder: Path, send: Send) -> None:
    """Both directions; sends steps, and at its end the result, its pairs, the lines that reproduce
    it, and the run's folder as an archive.

    Raises:
        RequestError, RunError: see `stir_hf.compare`.
    """
    _check(request.names(), request.limits)
    data, options = _data(request)
    out = folder / "run"
    model, reference = (
        stir_hf.load_encoder(model_argument(name), name=name)
        for name in (request.model, request.reference)
    )
    for encoder in (model, reference):
        _check_side(encoder, request.limits)
    result = stir_hf.compare(
        model,
        reference,
        data,
        steps=request.steps,
        out=out,
        progress=_teller(send, request.images * 2 * request.steps),
        **options,
    )
    sets = {one.manifest.names["reference"]: one for one in stir_hf.Inversions.load_all(out)}
    pairs = [_pairs(result, i, sets[score.reference]) for i, score in enumerate(result.scores)]
    lines = reproduced(request)
    send({"done": {"result": result.to_dict(), "pairs": pairs, **lines, "archive": _packed(out)}})


def judge(request: Judging, _: Path, send: Send) -> None:
    """One model on the sets of a repo; sends the result and the repo's leaderboard.

    Raises:
        RequestError, RunError: see `stir_hf.score`.
    """
    check_published(request.inversions, request.limits)
    name = request.model
    _check([] if name in MODELS else [name], request.limits)
    encoder = stir_hf.load_encoder(model_argument(name), name=name)
    _check_side(encoder, request.limits)
    result = stir_hf.score(encoder, request.inversions, progress=_teller(send, 0))
    found = result.to_dict()
    lines = {
        "command": command("score", [name], {"inversions": request.inversions}),
        "python": f"import stir_hf\n\nstir_hf.score({name!r}, {request.inversions!r})",
    }
    send({"done": {"result": found, "boards": board_rows(request.inversions), **lines}})


def push(request: dict[str, Any], folder: Path, send: Send) -> None:
    """Send a run's archive to a visitor's own dataset repo, by the visitor's own token; sends the
    address.

    Raises:
        RequestError, RunError: see `stir-hf push`.
    """
    os.environ["HF_TOKEN"] = request["token"]  # of this process alone
    with tarfile.open(fileobj=io.BytesIO(request["archive"])) as archive:
        archive.extractall(folder / "run", filter="data")
    told: list[str] = []
    share = ShareConfig(private=True)
    pushed = push_folder(folder / "run", request["repo"], share, say=told.append)
    send({"done": {"url": pushed.url, "told": told}})


def board_rows(name: str) -> list[dict[str, Any]]:
    """The leaderboard of a repo: its tables, each with its lines; none where there are no
    scores.
    """
    try:
        found = boards(name)
    except RequestError:
        return []
    return [
        {
            "about": f"given {board.reference or 'a reference'}, layer {board.layer},"
            f" {board.num_samples} images",
            "lines": [
                [line.model, line.stir, line.stir_debiased, line.floor] for line in board.lines
            ],
        }
        for board in found
    ]


def _check(names: Sequence[str], limits: Limits) -> None:
    for name in names:
        check_weights(name, limits)


def _check_side(encoder: Any, limits: Limits) -> None:
    if encoder.size is not None and max(encoder.size) > limits.side:
        height, width = encoder.size
        raise RequestError(
            f"model {encoder.name} takes images of {height}x{width} pixels; at most"
            f" {limits.side} are taken here"
        )


def _data(request: Comparison) -> tuple[Any, dict[str, Any]]:
    """The images, and the options that choose them."""
    if request.uploads:
        from PIL import Image

        check_uploads(request.uploads, request.limits)
        images = []
        for path in request.uploads:
            try:
                with Image.open(path, formats=FORMATS) as image:
                    image.load()
                    images.append(image.copy())
            except Exception as error:  # files are broken in many ways
                raise RequestError(f"the file {Path(path).name!r} cannot be read") from error
        return images, {}
    options: dict[str, Any] = {"num_samples": request.images}
    if request.split:
        options["split"] = request.split
    if request.dataset != EMBEDDED:
        options["streaming"] = True  # no more of it is fetched than is used
    return request.data(), options


def _teller(send: Send, most: int) -> Any:
    """Whoever watches a run and tells the page, not too often."""
    last = [0.0]

    def tell(step: Step) -> None:
        now = time.monotonic()
        if now - last[0] < TELL_EVERY:
            return
        last[0] = now
        forming = [] if step.forming is None else sorted(step.forming().items())[:SHOWN]
        pictures = {index: picture(values) for index, values in forming}
        about = {"what": step.what, "done": step.done, "total": step.total, "error": step.error}
        send({"step": {**about, "passes": step.passes, "most": most, "pictures": pictures}})

    return tell


def picture(values: NDArray[np.float32]) -> str:
    """(c, h, w) in [0, 1] as a PNG in a data URL, no larger than it is shown on a fine screen."""
    file, image = io.BytesIO(), to_png(values)
    image.thumbnail((SIDE, SIDE))
    image.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def _pairs(result: StirResult, place: int, inversions: stir_hf.Inversions) -> dict[str, Any]:
    """The pairs that the judged model takes for the most and for the least alike."""
    moves = result.moves[place]
    order = np.argsort(moves.relative_distance, kind="stable")
    count = min(SHOWN, len(order) // 2)
    ends = {"most": order[:count], "least": order[::-1][:count]}
    return {
        name: [_pair(inversions, moves, int(row)) for row in rows] for name, rows in ends.items()
    }


def _pair(inversions: stir_hf.Inversions, moves: Any, row: int) -> dict[str, Any]:
    index = int(moves.index[row])
    at = int(np.flatnonzero(inversions.index == index)[0])
    return {
        "index": index,
        "distance": float(moves.relative_distance[row]),
        "original": picture(inversions.pixels("image", [at])[0]),
        "inverted": picture(inversions.pixels("inverted", [at])[0]),
    }


def reproduced(request: Comparison) -> dict[str, str]:
    """The command, in a clone of the repository, and the Python lines that compute the same."""
    options: dict[str, Any] = {"num_samples": request.images, "steps": request.steps}
    shown, written = request.dataset, repr(request.dataset)
    if request.uploads:
        shown, written = "FOLDER", "images"
        del options["num_samples"]
    elif request.dataset == EMBEDDED:
        shown, written = "stir_hf/demo/images", "IMAGES"
    else:
        options["streaming"] = True
    if request.split and not request.uploads:
        options["split"] = request.split
    models = [request.model, request.reference]
    paths = [f"stir_hf/demo/models/{name}" if name in MODELS else name for name in models]
    arguments = [f"model_path({name!r})" if name in MODELS else repr(name) for name in models]
    arguments += [written, *(f"{name}={value!r}" for name, value in options.items())]
    lines = ["import stir_hf"]
    if set(models) & set(MODELS) or written == "IMAGES":
        lines.append("from stir_hf.demo import IMAGES, model_path")
    return {
        "command": command("compare", paths, {"dataset": shown, **options}),
        "python": "\n".join([*lines, "", f"stir_hf.compare({', '.join(arguments)})"]),
    }


def _packed(folder: Path) -> bytes:
    """The folder of a run as an archive."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        archive.add(folder, arcname=".")
    return file.getvalue()
