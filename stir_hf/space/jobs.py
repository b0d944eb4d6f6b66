"""The work of requests in their processes: compare, judge, push."""

import base64
import io
import os
import tarfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import stir_hf
from stir_hf.demo import IMAGES, MODELS
from stir_hf.errors import RequestError
from stir_hf.inputs.images import to_png
from stir_hf.publish import ShareConfig, push_folder
from stir_hf.publish.leaderboard import leaderboard
from stir_hf.report.board_text import called, explained
from stir_hf.results import StirResult
from stir_hf.runtime import Step
from stir_hf.space.asked import (
    EMBEDDED,
    Comparison,
    Judging,
    Limits,
    UploadError,
    check_published,
    check_uploads,
    check_weights,
    embedded_path,
)
from stir_hf.space.lines import of_comparison, of_judgement
from stir_hf.space.work import Send

SHOWN = 8
"""Pairs that are shown of each end of the ranking, and images while they form."""
SIDE = 144
"""Pixels of a picture on the page, at most."""
TELL_EVERY = 1.0
"""Seconds between two pictures of what forms."""


def compare(request: Comparison, folder: Path, send: Send) -> None:
    """Both directions; sends steps, and at its end the result, its pairs, the lines that reproduce
    it, and the run's folder as an archive.

    Raises:
        RequestError, RunError: see `stir_hf.compare`.
    """
    places = {name: check_weights(name, request.limits) for name in request.names()}
    data, options = _data(request)
    out = folder / "run"
    model, reference = (
        _encoder(name, places, request.limits) for name in (request.model, request.reference)
    )
    count = len(request.uploads) or request.images
    result = stir_hf.compare(
        model,
        reference,
        data,
        steps=request.steps,
        out=out,
        progress=_teller(send, count * 2 * request.steps),
        **options,
    )
    sets = {one.manifest.names["reference"]: one for one in stir_hf.Inversions.load_all(out)}
    pairs = [_pairs(result, i, sets[score.reference]) for i, score in enumerate(result.scores)]
    lines = of_comparison(request, result.config)
    send({"done": {"result": result.to_dict(), "pairs": pairs, **lines, "archive": _packed(out)}})


def judge(request: Judging, _: Path, send: Send) -> None:
    """One model on the sets of a repo; sends the result and the repo's leaderboard.

    Raises:
        RequestError, RunError: see `stir_hf.score`; a set without its originals, which would be
            fetched from wherever it says.
    """
    repo, name = check_published(request.inversions, request.limits), request.model
    places = {} if name in MODELS else {name: check_weights(name, request.limits)}
    sets = stir_hf.Inversions.load_all(repo)
    if any(not one.has_originals for one in sets):
        raise RequestError(
            f"dataset {request.inversions} was published without the original images; such sets"
            " are not judged here, but by `stir-hf score`"
        )
    encoder = _encoder(name, places, request.limits)
    result = stir_hf.score(encoder, sets, progress=_teller(send, 0))
    lines = of_judgement(name, places, repo)
    done = {"result": result.to_dict(), "boards": board_rows(repo), **lines}
    send({"done": done})


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
        found = leaderboard(name)
    except RequestError:
        return []
    return [
        {
            "about": f"given {board.reference or 'a reference'}, layer {board.layer},"
            f" {board.num_samples} images",
            "lines": [
                [called(line), line.stir, line.stir_debiased, line.floor] for line in board.lines
            ],
            "marks": explained(board),
        }
        for board in found
    ]


def _encoder(name: str, places: dict[str, str], limits: Limits) -> Any:
    """A model, at the commit that was looked at, by the name that was asked for."""
    encoder = stir_hf.load_encoder(embedded_path(name) or places[name], name=name)
    if encoder.extent is not None and max(encoder.extent) > limits.side:
        height, width = encoder.extent
        raise RequestError(
            f"model {encoder.name} takes images of {height}x{width} pixels; at most"
            f" {limits.side} are taken here"
        )
    return encoder


def _data(request: Comparison) -> tuple[Any, dict[str, Any]]:
    """The images, and the options that choose them."""
    if request.uploads:
        from stir_hf.inputs.formats import open_image

        check_uploads(request.uploads, request.limits)
        images = []
        for path in request.uploads:
            try:
                with open_image(path) as image:
                    image.load()
                    images.append(image.copy())
            except Exception as error:  # files are broken in many ways
                raise UploadError(f"the file {Path(path).name!r} cannot be read") from error
        return images, {}
    options: dict[str, Any] = {"num_samples": request.images}
    if request.split:
        options["split"] = request.split
    if request.dataset != EMBEDDED:
        options["streaming"] = True  # no more of it is fetched than is used
    return (str(IMAGES) if request.dataset == EMBEDDED else request.dataset), options


def _teller(send: Send, most: int) -> Any:
    """Whoever watches a run and tells the page, not too often."""
    last = [0.0]

    def tell(step: Step) -> None:
        now = time.monotonic()
        if now - last[0] < TELL_EVERY:
            return
        last[0] = now
        forming = [] if step.in_progress is None else sorted(step.in_progress().items())[:SHOWN]
        pictures = {index: picture(values, exact=False) for index, values in forming}
        about = {"what": step.what, "done": step.done, "total": step.total, "error": step.error}
        send({"step": {**about, "passes": step.passes, "most": most, "pictures": pictures}})

    return tell


def picture(values: NDArray[np.float32], *, exact: bool = True) -> str:
    """(c, h, w) in [0, 1] as an image in a data URL, no larger than it is shown on a fine screen: a
    PNG, or, if it need not be exact and is not tiny, a JPEG of a tenth of the size.
    """
    file, image = io.BytesIO(), to_png(values)
    image.thumbnail((SIDE, SIDE))
    kind = "PNG" if exact or max(image.size) <= SIDE // 2 else "JPEG"
    image.save(file, kind, quality=80)
    address = base64.b64encode(file.getvalue()).decode()
    return f"data:image/{kind.lower()};base64,{address}"


def _pairs(result: StirResult, place: int, inversions: stir_hf.Inversions) -> dict[str, Any]:
    """The pairs that the judged model takes for the most and for the least alike."""
    moves = result.displacements[place]
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
        "original": picture(inversions.originals_of([at])[0]),
        "inverted": picture(inversions.values("inverted", [at])[0]),
    }


def _packed(folder: Path) -> bytes:
    """The folder of a run as an archive."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        archive.add(folder, arcname=".")
    return file.getvalue()
