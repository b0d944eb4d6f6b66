"""The handlers of the forms and of the endpoint."""

import os
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import gradio as gr

from stir_hf.demo import MODELS
from stir_hf.errors import RequestError, RunError
from stir_hf.report import page as views
from stir_hf.space import jobs, uploads
from stir_hf.space.asked import (
    LIMITS,
    Comparison,
    Judging,
    UploadError,
    checked_id,
)
from stir_hf.space.asked import shown as named
from stir_hf.space.following import follow, visiting
from stir_hf.space.guards.visits import VISITS
from stir_hf.space.kept import Kept
from stir_hf.space.work import Message

PRESETS = {
    "Quick: 16 images, 60 passes": (16, 60),
    "Usual: 24 images, 100 passes": (24, 100),
    "Careful: 48 images, 150 passes": (48, 150),
}
"""Choices of (images, passes); each takes some seconds on two cores for embedded models."""
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
Found = dict[str, Any]


def signs_in() -> bool:
    """Return True where visitors sign in at the Hub: in a Space only, as elsewhere gradio takes the
    machine's own account for everybody's.
    """
    return os.environ.get("SYSTEM") == "spaces" and "OAUTH_CLIENT_ID" in os.environ


@dataclass
class Pace:
    """The time left, from the progress since the first pass: loading took its own time."""

    first: tuple[float, float] | None = None
    """The time of the first pass, and how far the request was."""

    def left(self, share: float) -> float | None:
        """Return the seconds left; None before there is enough progress."""
        now = time.monotonic()
        if self.first is None:
            self.first = now, share
        began, before = self.first
        if share - before < 0.03:
            return None
        return (now - began) * (1 - share) / (share - before)


MORE = "More passes may help: choose up to {}."
NO_MORE = "More passes than here can be asked for on the command line."
OF_A_SET = "Whoever made the set can make it again with more passes."
"""Remedies for inversions that did not work: fewer passes than allowed, all, or a published set."""


def remedy(asked: Comparison) -> str:
    """Return what the visitor who asked can do about inversions that did not work."""
    most = asked.limits.steps
    return MORE.format(most) if asked.steps < most else NO_MORE


def shown(messages: Iterable[Message], advice: str) -> Iterator[tuple[str, Found | None]]:
    """Yield HTML of the progress of a request, and at last its results with what was found;
    `advice` as the remedy of
    `views.advice`.
    """
    html, pace = views.progress(None), Pace()
    for message in messages:
        if "done" in message:
            yield views.results(message["done"], advice), message["done"]
            return
        if "wait" in message:
            html = views.waiting(**message["wait"])
        elif "step" in message:
            step = message["step"]
            html = views.progress(step, pace.left(views.share(step)))
        elif html.startswith("<p"):
            html = views.progress(None)
        yield html, None


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
            messages = follow(jobs.compare, asked, asked.limits, visit)
            for html, done in shown(messages, remedy(asked)):
                if done is not None and signs_in():
                    key = KEPT.put(done["archive"])
                yield html, key, gr.skip() if done is None else None
        except UploadError as error:
            yield views.problem(str(error)), None, None
        except (RequestError, RunError) as error:
            stays = visit.heard.is_set()  # the files may be meant for the next try
            yield views.problem(str(error)), None, gr.skip()
        finally:
            own = [Path(path) for path in sent if uploads.is_upload(path)]
            uploads.remove([] if stays else own, lambda path: VISITS.names(path, visit))


def judge(inversions: str, model: str, request: gr.Request | None = None) -> Iterator[str]:
    """Answer the form of a judgement on published inversions."""
    with visiting(request) as visit:
        try:
            asked = Judging(inversions, model)
            for html, _ in shown(follow(jobs.judge, asked, asked.limits, visit), OF_A_SET):
                yield html
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
            if "@" in str(repo):
                raise RequestError(
                    f"the repo {named(repo)} has a revision; expected NAMESPACE/NAME"
                )
            asked = {"repo": checked_id(repo, "repo"), "archive": archive, "token": token.token}
            for message in follow(jobs.push, asked, LIMITS, visit):
                yield _pushed(message["done"]["url"]) if "done" in message else views.progress(None)
        except (RequestError, RunError) as error:
            yield views.problem(str(error))


def _pushed(url: str) -> str:
    return f'<p role="status">Pushed to {views.link(url)} (private)</p>'


def search(key: gr.KeyUpData) -> Any:
    """Offer the embedded models, and models on the Hub whose names contain what was typed; nothing
    new after a key that types nothing, as its list would open again.
    """
    if len(str(key.key)) > 1 and key.key not in ("Backspace", "Delete"):
        return gr.skip()
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
