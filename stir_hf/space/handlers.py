"""The handlers of the forms and of the endpoint."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
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
from stir_hf.space.visits import NOBODY, VISITS, Visit
from stir_hf.space.work import LOOK_EVERY, Work, in_a_process, run
from stir_hf.space.zero_gpu import place

PRESETS = {
    "Quick: 16 images, 60 passes": (16, 60),
    "Usual: 24 images, 100 passes": (24, 100),
    "Careful: 48 images, 150 passes": (48, 150),
}
"""Choices of (images, passes); each takes less than a minute on two cores for embedded models."""
USUAL, OWN_NUMBERS = "Usual: 24 images, 100 passes", "As set below"
TASKS = (
    "image-classification",
    "image-feature-extraction",
    "zero-shot-image-classification",
    "image-segmentation",
    "object-detection",
    "depth-estimation",
    "feature-extraction",
    None,
)
"""Tasks on the Hub whose models take images, or may take them."""
FOUND = 8
_SEARCHES = threading.BoundedSemaphore(4)
KEPT = Kept()
LEFT = "the visitor has left"
Found = dict[str, Any]


def signs_in() -> bool:
    """Return True where visitors sign in at the Hub: in a Space only, as elsewhere gradio takes the
    machine's own account for everybody's.
    """
    return os.environ.get("SYSTEM") == "spaces" and "OAUTH_CLIENT_ID" in os.environ


@contextmanager
def visiting(request: gr.Request | None) -> Iterator[Visit]:
    """Give the visit that the gate has noted for a request, and end it."""
    visit: Visit = getattr(getattr(request, "state", None), "visit", NOBODY)
    try:
        yield visit
    finally:
        if visit is not NOBODY:
            VISITS.end(visit)


def follow(
    work: Work, request: Any, limits: Limits, visit: Visit = NOBODY, *, device: bool = True
) -> Iterator[tuple[str | None, Found | None]]:
    """Do a request while somebody waits for it: yields HTML of its progress, and at last what it
    found. Unless it needs no `device`, ZeroGPU lends one where there is one.

    Raises:
        RequestError, RunError: see `run`.
    """
    while not visit.heard.wait(LOOK_EVERY):  # gradio would keep an answer that nobody reads
        if visit.is_gone():
            raise RunError(LEFT)
    shown = views.progress(None, 0)
    yield shown, None
    began, found = time.monotonic(), None
    messages = run(work, request, limits, visit.is_gone, place() if device else in_a_process)
    try:
        for message in messages:
            if visit.is_gone():
                raise RunError(LEFT)
            if "done" in message:
                found = message["done"]
                continue  # nothing of it is left when it is shown
            if "step" in message:
                shown = views.progress(message["step"], time.monotonic() - began)
            yield shown, None  # also where there is nothing new: gradio then looks who is there
        yield None, found
    finally:  # gradio closes in its event loop, which must not wait
        threading.Thread(target=messages.close, daemon=True).start()


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
    """Answer the form of a comparison: yields what it shows, the key of what may be pushed, and the
    files that stay in the form: none at the end, unless something other than these was wrong.

    The inputs come as they are sent: gradio has not looked at them.
    """
    given = files if isinstance(files, list) else []
    sent = tuple(str(one.get("path")) for one in given if isinstance(one, dict))
    stays, key = False, None
    with visiting(request) as visit:
        try:
            if not all(map(uploads.is_upload, sent)):
                raise UploadError("images are uploaded, not named by a path of this machine")
            effort: Any = PRESETS.get(str(preset), (images, steps))
            asked = Comparison(model, reference, dataset, split, sent, *effort)
            for shown, done in follow(jobs.compare, asked, asked.limits, visit):
                if done is not None and signs_in():
                    key = KEPT.put(done["archive"])
                html = views.results(done) if done else shown or ""
                yield html, key, gr.skip() if done is None else None
        except UploadError as error:
            yield views.problem(str(error)), None, None
        except (RequestError, RunError) as error:
            stays = not visit.is_gone()  # the files may be meant for the next try
            yield views.problem(str(error)), None, gr.skip()
        finally:
            own = [Path(path) for path in sent if uploads.is_upload(path)]
            uploads.remove([] if stays else own, lambda path: VISITS.names(path, visit))


def judge(inversions: str, model: str, request: gr.Request | None = None) -> Iterator[str]:
    """Answer the form of a judgement on published inversions."""
    with visiting(request) as visit:
        try:
            asked = Judging(inversions, model)
            for shown, done in follow(jobs.judge, asked, asked.limits, visit):
                yield views.results(done) if done else shown or ""
        except (RequestError, RunError) as error:
            yield views.problem(str(error))


def push(
    key: str | None, repo: str, token: gr.OAuthToken | None, request: gr.Request | None = None
) -> Iterator[str]:
    """Send a result to a visitor's own repo, by the visitor's own token."""
    with visiting(request) as visit:
        try:
            if (archive := KEPT.get(key)) is None:
                raise RequestError("there is no result to push yet, or it has expired")
            if token is None:
                raise RequestError("sign in first: a result is pushed with your own account only")
            asked = {"repo": checked_id(repo, "repo"), "archive": archive, "token": token.token}
            for shown, done in follow(jobs.push, asked, LIMITS, visit, device=False):
                yield _pushed(done["url"]) if done else shown or ""
        except (RequestError, RunError) as error:
            yield views.problem(str(error))


def _pushed(url: str) -> str:
    return f'<p role="status">Pushed to {views.link(url)} (private)</p>'


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
    with visiting(request) as visit:
        limits = OF_A_TOOL if visit.is_of_a_tool else LIMITS
        try:
            asked = Comparison(model, reference, dataset, split, (), images, steps, limits)
            (*_, (_, done)) = follow(jobs.compare, asked, limits, visit)
        except (RequestError, RunError) as error:
            raise gr.Error(str(error), print_exception=False) from error
    return dict((done or {})["result"])


def search(key: gr.KeyUpData) -> Any:
    """Offer the embedded models, and models on the Hub whose names contain what was typed."""
    words = str(key.input_value or "").strip()[:80]
    found: tuple[str, ...] = ()
    if len(words) >= 3 and words not in MODELS and _SEARCHES.acquire(blocking=False):
        try:
            found = _found(words)
        except Exception:  # the Hub cannot be reached: the same words are searched again later
            found = ()
        finally:
            _SEARCHES.release()
    return gr.update(choices=[*MODELS, *found])


@lru_cache(maxsize=256)
def _found(words: str) -> tuple[str, ...]:
    import huggingface_hub

    hub = huggingface_hub.HfApi(token=False)
    models = hub.list_models(search=words, filter="transformers", sort="downloads", limit=40)
    return tuple(model.id for model in models if model.pipeline_tag in TASKS)[:FOUND]
