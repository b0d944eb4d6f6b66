"""What happens when a form is sent, or an endpoint called."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import gradio as gr

from stir_hf.demo import MODELS
from stir_hf.errors import RequestError, RunError
from stir_hf.report import page as views
from stir_hf.space import jobs, uploads
from stir_hf.space.asked import (
    EMBEDDED,
    LIMITS,
    OF_A_TOOL,
    Comparison,
    Judging,
    Limits,
    UploadError,
    checked_id,
)
from stir_hf.space.kept import Kept
from stir_hf.space.waiting import Visit
from stir_hf.space.work import Run, Work, nobody
from stir_hf.space.zero_gpu import runner

PRESETS = {
    "Quick: 16 images, 60 passes": (16, 60),
    "Usual: 24 images, 100 passes": (24, 100),
    "Careful: 48 images, 150 passes": (48, 150),
}
"""On the embedded models each ends in less than a minute on two cores."""
USUAL, OWN_NUMBERS = "Usual: 24 images, 100 passes", "As set below"


def follow(
    work: Work,
    request: Any,
    limits: Limits,
    *,
    device: bool = True,
    is_gone: Callable[[], bool] = nobody,
) -> Iterator[tuple[str | None, dict[str, Any] | None]]:
    """A request from its beginning to its end: HTML of how far it is, and at last what it found.

    Args:
        work: what is done.
        request: what was asked.
        limits: of it.
        device: whether it computes, so that ZeroGPU lends a device where there is one.
        is_gone: whether nobody waits for it any more, which ends it.

    Raises:
        RequestError, RunError: see `Run`.
    """
    shown = views.progress(None, 0)
    yield shown, None
    began, made = time.monotonic(), runner() if device else Run
    run = made(work, request, limits, is_gone)
    try:
        for message in run:
            if is_gone():
                raise RunError("nobody waits for it any more")
            if message is not None and "done" in message:
                yield None, message["done"]
                return
            if message is not None:
                shown = views.progress(message["step"], time.monotonic() - began)
            yield shown, None  # also where there is nothing new: cancelling waits for it
    finally:
        run.close()


KEPT = Kept()


def signs_in() -> bool:
    """Whether visitors sign in at the Hub: in a Space alone, as elsewhere gradio takes the
    machine's own account for everybody's.
    """
    return os.environ.get("SYSTEM") == "spaces" and "OAUTH_CLIENT_ID" in os.environ


def compare(
    model: str,
    reference: str,
    dataset: str,
    split: str,
    files: list[dict[str, Any]] | None,
    preset: str,
    images: float,
    steps: float,
    request: gr.Request | None = None,
) -> Iterator[tuple[str, str | None, Any]]:
    """The form of a comparison: what it shows, the key of what may be pushed, and the files that
    are left in the form: none at its end, unless something else than these was wrong.

    Its inputs come as they are sent: nothing of gradio's has looked at them.
    """
    visit, sent = Visit(request), _paths(files)

    def make() -> Any:
        count, passes = PRESETS.get(str(preset), (images, steps))
        how: Any = {"images": count, "steps": passes}
        return Comparison(model, reference, dataset, split, _uploaded(sent), **how), jobs.compare

    html, key, stays = "", None, False
    try:
        asked, work = make()
        for shown, done in follow(work, asked, asked.limits, is_gone=visit.is_gone):
            html = views.results(done) if shown is None and done else shown or ""
            if done is not None and signs_in():
                key = KEPT.put(done["archive"])
            yield html, key, gr.skip()
        yield html, key, None
    except UploadError as error:
        yield views.problem(str(error)), None, None
    except (RequestError, RunError) as error:
        stays = not visit.is_gone()  # the files may be meant for the next try
        yield views.problem(str(error)), None, gr.skip()
    finally:
        own = [Path(path) for path in sent if uploads.is_upload(path)]
        uploads.remove([] if stays else own, visit.is_shared)


def _paths(files: Any) -> tuple[str, ...]:
    """Of the files that a form holds."""
    given = files if isinstance(files, list) else []
    return tuple(str(one.get("path")) for one in given if isinstance(one, dict))


def _uploaded(paths: tuple[str, ...]) -> tuple[str, ...]:
    for path in paths:
        if not uploads.is_upload(path):
            raise UploadError("images are uploaded, not named by a path of this machine")
    return paths


def judge(inversions: str, model: str, request: gr.Request | None = None) -> Iterator[str]:
    """The form of a judgement on published inversions."""
    visit = Visit(request)
    try:
        asked = Judging(inversions, model)
        for shown, done in follow(jobs.judge, asked, asked.limits, is_gone=visit.is_gone):
            yield views.results(done) if shown is None and done else shown or ""
    except (RequestError, RunError) as error:
        yield views.problem(str(error))


def push(key: str | None, repo: str, token: str | None, request: gr.Request | None = None) -> str:
    """Send a result to a visitor's own repo, by the visitor's own token."""
    try:
        if (archive := KEPT.get(key)) is None:
            raise RequestError("there is no result to push yet, or it was kept too long ago")
        if token is None:
            raise RequestError("sign in first: a result is pushed with your own account only")
        asked = {"repo": checked_id(repo, "repo"), "archive": archive, "token": token}
        gone = Visit(request).is_gone
        for _, pushed in follow(jobs.push, asked, LIMITS, device=False, is_gone=gone):
            if pushed is not None:
                return f'<p role="status">Pushed to {views.link(pushed["url"])} (private)</p>'
    except (RequestError, RunError) as error:
        return views.problem(str(error))
    return views.problem("nothing was pushed")


def scores(
    model: str,
    reference: str,
    dataset: str = EMBEDDED,
    split: str = "",
    images: int = 24,
    steps: int = 100,
    request: gr.Request | None = None,
) -> dict[str, Any]:
    """STIR of two checkpoints in both directions: does this model ignore what that one ignores?

    Args:
        model: Hub id of an image model, or standard-0, standard-1, robust-0, robust-1.
        reference: the same.
        dataset: Hub id of a dataset of images; default: the 200 embedded images.
        split: of the dataset; default: test, validation or the only one.
        images: how many images, 4 to 64.
        steps: passes per image, 1 to 300.

    Returns:
        The result as `stir-hf compare --json` prints it: `scores[0]` is the model given the
        reference, `scores[1]` the reverse.

    Raises:
        gr.Error: what was asked for is refused, or it failed; in a sentence.
    """
    visit = Visit(request)
    limits = OF_A_TOOL if visit.is_of_a_tool else LIMITS
    try:
        asked = Comparison(model, reference, dataset, split, (), images, steps, limits)
        for _, done in follow(jobs.compare, asked, limits, is_gone=visit.is_gone):
            if done is not None:
                return dict(done["result"])
    except (RequestError, RunError) as error:
        raise gr.Error(str(error), print_exception=False) from error
    raise gr.Error("nothing came of it")


SEEN = (
    "image-classification",
    "image-feature-extraction",
    "zero-shot-image-classification",
    "image-segmentation",
    "object-detection",
    "depth-estimation",
    "feature-extraction",
    None,
)
"""Tasks of the Hub whose models see images, or may."""
FOUND = 8
_SEARCHES = threading.BoundedSemaphore(4)


def search(key: gr.KeyUpData) -> Any:
    """Models on the Hub whose names hold what was typed, beside the embedded ones."""
    words = str(key.input_value or "").strip()[:80]
    found: tuple[str, ...] = ()
    if len(words) >= 3 and words not in MODELS and _SEARCHES.acquire(blocking=False):
        try:
            found = _found(words)
        except Exception:  # the Hub is away: what is typed is taken as it is, and asked again
            found = ()
        finally:
            _SEARCHES.release()
    return gr.update(choices=[*MODELS, *found])


@lru_cache(maxsize=256)
def _found(words: str) -> tuple[str, ...]:
    import huggingface_hub

    hub = huggingface_hub.HfApi(token=False)
    models = hub.list_models(search=words, filter="transformers", sort="downloads", limit=40)
    return tuple(model.id for model in models if model.pipeline_tag in SEEN)[:FOUND]
