"""What happens when a form is sent, or an endpoint called."""

import os
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import gradio as gr

from stir_hf.demo import MODELS
from stir_hf.errors import RequestError, RunError
from stir_hf.space import jobs, views
from stir_hf.space.asked import EMBEDDED, LIMITS, Comparison, Judging, Limits, checked_id
from stir_hf.space.kept import Kept
from stir_hf.space.work import Run, Work, runner

PRESETS = {
    "Quick: 16 images, 60 passes": (16, 60),
    "Usual: 24 images, 100 passes": (24, 100),
    "Careful: 48 images, 150 passes": (48, 150),
}
"""On the embedded models each ends in less than a minute on two cores."""
USUAL, OWN_NUMBERS = "Usual: 24 images, 100 passes", "As set below"


def follow(
    work: Work, request: Any, limits: Limits, *, device: bool = True
) -> Iterator[tuple[str | None, dict[str, Any] | None]]:
    """A request from its beginning to its end: HTML of how far it is, and at last what it found.

    Args:
        work: what is done.
        request: what was asked.
        limits: of it.
        device: whether it computes, so that ZeroGPU lends a device where there is one.

    Raises:
        RequestError, RunError: see `Run`.
    """
    shown = views.progress(None, 0)
    yield shown, None
    began, run = time.monotonic(), (runner() if device else Run)(work, request, limits)
    try:
        for message in run:
            if message is not None and "done" in message:
                yield None, message["done"]
                return
            if message is not None:
                shown = views.progress(message["step"], time.monotonic() - began)
            yield shown, None  # also where there is nothing new: cancelling waits for it
    finally:
        run.close()


KEPT = Kept()


def _told(make: Any) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """What a form shows: progress, then results or a sentence; and what was found."""
    try:
        request, work = make()
        for html, done in follow(work, request, request.limits):
            yield views.results(done) if html is None and done else html or "", done
    except (RequestError, RunError) as error:
        yield views.problem(str(error)), None


def compare(
    model: str,
    reference: str,
    dataset: str,
    split: str,
    files: list[str] | None,
    preset: str,
    images: float,
    steps: float,
) -> Iterator[tuple[str, str | None, Any]]:
    """The form of a comparison: what it shows, the key of what may be pushed, and the files that
    are left in the form, which are none at its end.
    """
    uploads = tuple(str(path) for path in files or ())

    def make() -> Any:
        count, passes = PRESETS.get(preset, (images, steps))
        how: Any = {"images": count, "steps": passes}
        return Comparison(model, reference, dataset, split, uploads, **how), jobs.compare

    try:
        for html, done in _told(make):
            pushable = done is not None and "OAUTH_CLIENT_ID" in os.environ
            key = KEPT.put(done["archive"]) if pushable and done is not None else None
            yield html, key, gr.skip()
        yield html, key, None
    finally:
        for path in uploads:
            Path(path).unlink(missing_ok=True)


def judge(inversions: str, model: str) -> Iterator[str]:
    """The form of a judgement on published inversions."""
    for html, _ in _told(lambda: (Judging(inversions, model), jobs.judge)):
        yield html


def push(key: str | None, repo: str, token: str | None) -> str:
    """Send a result to a visitor's own repo, by the visitor's own token."""
    try:
        if (archive := KEPT.get(key)) is None:
            raise RequestError("there is no result to push yet, or it was kept too long ago")
        if token is None:
            raise RequestError("sign in first: a result is pushed with your own account only")
        request = {"repo": checked_id(repo, "repo"), "archive": archive, "token": token}
        for _, pushed in follow(jobs.push, request, LIMITS, device=False):
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
    """
    try:
        request = Comparison(model, reference, dataset, split, (), images, steps)
        for _, done in follow(jobs.compare, request, LIMITS):
            if done is not None:
                return dict(done["result"])
    except (RequestError, RunError) as error:
        raise gr.Error(str(error), print_exception=False) from error
    raise gr.Error("nothing came of it")


def search(key: gr.KeyUpData) -> Any:
    """Image models on the Hub whose names hold what was typed, beside the embedded ones."""
    words = str(key.input_value or "").strip()[:80]
    there = len(words) >= 3 and words not in MODELS
    return gr.update(choices=[*MODELS, *(_found(words) if there else ())])


@lru_cache(maxsize=256)
def _found(words: str) -> tuple[str, ...]:
    import huggingface_hub

    try:
        models = huggingface_hub.HfApi(token=False).list_models(
            search=words, pipeline_tag="image-classification", limit=8
        )
        return tuple(model.id for model in models)
    except Exception:  # the Hub is away: what is typed is taken as it is
        return ()
