"""The work of requests in their processes: compare, judge, push."""

import base64
import io
import os
import shutil
import tarfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import stir_hf
from stir_hf.data.files.broken import of_set
from stir_hf.data.sets.located import located
from stir_hf.data.sets.manifest import Manifest
from stir_hf.demo import IMAGES, MODELS, model_path
from stir_hf.errors import RequestError, RunError
from stir_hf.inputs.base import kind_of
from stir_hf.inputs.images import ImageKind, to_png
from stir_hf.publish import ShareConfig, push_folder
from stir_hf.publish.boards.leaderboard import leaderboard
from stir_hf.report.board import called, explained
from stir_hf.report.board_lines import Line
from stir_hf.report.reading import Reading
from stir_hf.results import Displacement
from stir_hf.runtime import Step
from stir_hf.space import uploads
from stir_hf.space.asked import (
    EMBEDDED,
    Comparison,
    Judging,
    Limits,
)
from stir_hf.space.guards.bounds import on_networks
from stir_hf.space.guards.repos import Looked, check_published, check_weights
from stir_hf.space.lines import of_comparison, of_judgement
from stir_hf.space.work import Send

HERE = {
    "--to ": "",
    "sign in with `hf auth login`": "sign out, and in again",
    ", or propose it with --create-pr": "",
    ", or --create-pr proposes it": "",
}
"""Words of `stir-hf push`, and those of the page in their place."""
SHOWN = 8
"""Pairs of each end of the ranking, and inputs in progress, that are shown."""
SIDE = 144
"""Pixels of a picture on the page, at most."""
TELL_EVERY = 1.0
"""Seconds between two messages about inversions in progress."""


def compare(request: Comparison, folder: Path, send: Send) -> None:
    """Compare in both directions; sends steps, and at the end the result, its pairs, the lines that
    reproduce it, and the folder of the run as an archive.

    Raises:
        RequestError, RunError: see `stir_hf.compare`.
    """
    data, options = _data(request)  # first what needs no network
    names = (request.model, request.reference)
    looked = _looked(names, request.limits)
    model, reference = (_encoder(name, looked[name], request.limits) for name in names)
    count, out = len(request.uploads) or request.images, folder / "run"
    watch = _teller(send, count * 2 * request.steps)
    options |= {"steps": request.steps, "out": out, "progress": watch}
    result = stir_hf.compare(model, reference, data, **options)
    sets = {one.manifest.names["reference"]: one for one in stir_hf.Inversions.load_all(out)}
    used = [sets[score.reference] for score in result.scores]
    shown = zip(used, result.displacements, strict=True)
    pairs = [_pairs(*one) for one in shown if isinstance(one[0].kind, ImageKind)]
    lines = of_comparison(request, result.config)
    packed = Path(shutil.make_archive(str(out), "gztar", out)).read_bytes()
    send({"done": {"result": result.to_dict(), "pairs": pairs, **lines, "archive": packed}})


def judge(request: Judging, _: Path, send: Send) -> None:
    """Judge one model on the sets of a repo; sends the result and the repo's leaderboard.

    Raises:
        RequestError, RunError: see `stir_hf.score`; also for a set without its originals, which
            would be fetched from wherever it says.
    """
    repo, name = check_published(request.inversions, request.limits), request.model
    looked = _looked([name], request.limits)[name]
    sets = _sets(request.inversions, repo, request.limits)
    if any(not one.has_originals for one in sets):
        raise RequestError(
            f"dataset {request.inversions} was published without the originals; such sets are not"
            " judged here, but by `stir-hf score`"
        )
    encoder = _encoder(name, looked, request.limits)
    result = stir_hf.score(encoder, sets, progress=_teller(send, 0))
    lines = of_judgement(name, looked.place, repo)
    send({"done": {"result": result.to_dict(), "boards": board_rows(repo), **lines}})


def push(request: dict[str, Any], folder: Path, send: Send) -> None:
    """Send a run's archive to a visitor's own dataset repo, by the visitor's own token; sends the
    address.

    Raises:
        RequestError, RunError: see `stir-hf push`.
    """
    os.environ["HF_TOKEN"] = request["token"]  # of this process alone
    with tarfile.open(fileobj=io.BytesIO(request["archive"])) as archive:
        archive.extractall(folder / "run", filter="data")
    try:
        pushed = push_folder(folder / "run", request["repo"], ShareConfig(private=True))
    except (RequestError, RunError) as error:
        told = str(error)
        for words, here in HERE.items():
            told = told.replace(words, here)
        raise type(error)(told) from error
    send({"done": {"url": pushed.url}})


def board_rows(name: str) -> list[dict[str, Any]]:
    """Return the tables of a repo's leaderboard; none if it has no scores."""
    try:
        found = leaderboard(name)
    except RequestError:
        return []
    return [
        {
            "about": f"given {board.reference or 'a reference'}, layer {board.layer},"
            f" {board.num_samples} images",
            "lines": [_line(line) for line in board.lines],
            "marks": explained(board),
        }
        for board in found
    ]


def _line(line: Line) -> list[Any]:
    """Return the model, its plain STIR, and the values by which its score is read."""
    read = Reading.of(vars(line))
    return [called(line), line.stir, read.stir, read.floor, read.ceiling]


def _looked(names: Iterable[str], limits: Limits) -> dict[str, Looked]:
    """Look at models; return where to load them: folders, and ids at commits."""
    return {
        name: Looked(model_path(name)) if name in MODELS else check_weights(name, limits)
        for name in dict.fromkeys(names)
    }


def _encoder(name: str, looked: Looked, limits: Limits) -> Any:
    """Load a model from its place, under the name that was asked for."""
    with on_networks(f"model {name}", looked.weights, limits):
        encoder = stir_hf.load_encoder(looked.place, name=name)
    if encoder.extent is not None and max(encoder.extent) > limits.side:
        height, width = encoder.extent
        raise RequestError(
            f"model {encoder.name} takes images of {height}x{width} pixels; at most"
            f" {limits.side} are taken here"
        )
    return encoder


def _sets(name: str, repo: str, limits: Limits) -> list[stir_hf.Inversions]:
    """Load the sets of a repo; raises RequestError where inputs are too large, before one is
    decoded.
    """
    there = located(repo)
    for one in there:
        with of_set(one.called):
            kind = kind_of(Manifest.read(one.path).identity["canvas"])
        if max(kind.shape) > limits.side and isinstance(kind, ImageKind):
            height, width = kind.size
            raise RequestError(
                f"dataset {name} holds inversions of {height}x{width} pixels; at most"
                f" {limits.side} are taken here"
            )
    return [stir_hf.Inversions.read(one.path, called=one.called) for one in there]


def _data(request: Comparison) -> tuple[Any, dict[str, Any]]:
    """Return the images, and the options that choose them."""
    if request.uploads:
        return uploads.read(request.uploads, request.limits), {}
    options: dict[str, Any] = {"num_samples": request.images}
    if request.split:
        options["split"] = request.split
    if request.dataset == EMBEDDED:
        return str(IMAGES), options
    return request.dataset, {**options, "streaming": True}  # fetches no more than it uses


def _teller(send: Send, most: int) -> Callable[[Step], None]:
    """Return a watcher of a run that tells the page, not too often."""
    last = [0.0]

    def tell(step: Step) -> None:
        now = time.monotonic()
        if now - last[0] < TELL_EVERY:
            return
        last[0] = now
        found = {} if step.in_progress is None else step.in_progress()
        pictures = {
            index: picture(values, exact=False)
            for index, values in sorted(found.items())[:SHOWN]
            if values.ndim == 3
        }
        about = {"what": step.what, "done": step.done, "total": step.total, "error": step.error}
        send({"step": {**about, "passes": step.passes, "most": most, "pictures": pictures}})

    return tell


def picture(values: NDArray[np.float32], *, exact: bool = True) -> str:
    """Return (c, h, w) in [0, 1] as an image in a data URL, no larger than it is shown on a fine
    screen: a PNG, or, if it need not be exact and is not tiny, a JPEG of a tenth of the size.
    """
    file, image = io.BytesIO(), to_png(values)
    image.thumbnail((SIDE, SIDE))
    kind = "PNG" if exact or max(image.size) <= SIDE // 2 else "JPEG"
    image.save(file, kind, quality=80)
    address = base64.b64encode(file.getvalue()).decode()
    return f"data:image/{kind.lower()};base64,{address}"


def _pairs(inversions: stir_hf.Inversions, moves: Displacement) -> dict[str, Any]:
    """Return the pairs that the judged model takes for the most and for the least alike."""
    order = np.argsort(moves.relative_distance, kind="stable")
    count = min(SHOWN, len(order) // 2)
    ends = {"most": order[:count], "least": order[::-1][:count]}
    return {end: [_pair(inversions, moves, row) for row in rows] for end, rows in ends.items()}


def _pair(inversions: stir_hf.Inversions, moves: Displacement, row: int) -> dict[str, Any]:
    at = int(np.flatnonzero(inversions.index == moves.index[row])[0])
    return {
        "index": int(moves.index[row]),
        "distance": float(moves.relative_distance[row]),
        "original": picture(inversions.originals_of([at])[0]),
        "inverted": picture(inversions.values("inverted", [at])[0]),
    }
