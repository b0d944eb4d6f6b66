"""The page: forms, what happens when they are sent, and how it is served."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from stir_hf.demo import MODELS
from stir_hf.errors import RequestError, RunError
from stir_hf.space import jobs, views
from stir_hf.space.asked import EMBEDDED, LIMITS, Comparison, Judging, Limits, checked_id
from stir_hf.space.work import Work, runner, warm_up

STYLE = Path(__file__).parent / "style.css"
PRESETS = {
    "Quick: 16 images, 60 passes": (16, 60),
    "Usual: 24 images, 100 passes": (24, 100),
    "Careful: 48 images, 150 passes": (48, 150),
}
"""On the embedded models each ends in less than a minute on two cores."""
QUEUE = "one at a time"
KEPT_SECONDS = 900
"""So long a result can be pushed."""


def follow(
    work: Work, request: Any, limits: Limits
) -> Iterator[tuple[str | None, dict[str, Any] | None]]:
    """A request from its beginning to its end: HTML of how far it is, and at last what it found.

    Raises:
        RequestError, RunError: see `Run`.
    """
    began, messages = time.monotonic(), runner(limits.seconds)(work, request, limits)
    yield views.progress(None, 0), None
    try:
        for message in messages:
            if message is None:
                continue
            if "step" in message:
                yield views.progress(message["step"], time.monotonic() - began), None
            elif "done" in message:
                yield None, message["done"]
    finally:
        if hasattr(messages, "close"):
            messages.close()


def _told(make: Any) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """What a form shows: progress, then results or a sentence; and what may be pushed."""
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
    images: float,
    steps: float,
) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """The form of a comparison."""
    uploads = tuple(str(path) for path in files or ())

    def make() -> Any:
        how: Any = {"images": images, "steps": steps}
        return Comparison(model, reference, dataset, split, uploads, **how), jobs.compare

    try:
        yield from _told(make)
    finally:
        for path in uploads:
            Path(path).unlink(missing_ok=True)


def judge(inversions: str, model: str) -> Iterator[str]:
    """The form of a judgement on published inversions."""
    for html, _ in _told(lambda: (Judging(inversions, model), jobs.judge)):
        yield html


def push(done: dict[str, Any] | None, repo: str, token: str | None) -> str:
    """Send a result to a visitor's own repo, by the visitor's own token."""
    try:
        if done is None or "archive" not in done:
            raise RequestError("there is no result to push yet, or it was kept too long ago")
        if token is None:
            raise RequestError("sign in first: a result is pushed with your own account only")
        request = {"repo": checked_id(repo, "repo"), "archive": done["archive"], "token": token}
        for _, pushed in follow(jobs.push, request, LIMITS):
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
    import huggingface_hub

    words = str(key.input_value or "").strip()[:80]
    found: list[str] = []
    if len(words) >= 3 and words not in MODELS:
        try:
            models = huggingface_hub.HfApi(token=False).list_models(
                search=words, pipeline_tag="image-classification", limit=8
            )
            found = [model.id for model in models]
        except Exception:  # the Hub is away: what is typed is taken as it is
            found = []
    return gr.update(choices=[*MODELS, *found])


def comparison_form() -> None:
    """The form and its results."""
    with gr.Row():
        shared: Any = {"choices": list(MODELS), "allow_custom_value": True, "filterable": True}
        model = gr.Dropdown(
            value="standard-0",
            label="Model",
            info="embedded, or type to search the Hub",
            elem_id="model",
            **shared,
        )
        reference = gr.Dropdown(
            value="robust-0",
            label="Reference",
            info="whose blind spots are tested",
            elem_id="reference",
            **shared,
        )
    with gr.Row():
        dataset = gr.Dropdown(
            [EMBEDDED],
            value=EMBEDDED,
            label="Images",
            info="embedded, or the Hub id of a dataset",
            allow_custom_value=True,
            elem_id="dataset",
        )
        split = gr.Textbox(
            label="Split", info="empty: test, validation or the only one", max_length=140
        )
    with gr.Accordion("Your own images", open=False):
        files = gr.File(
            label=f"{LIMITS.least_images} to {LIMITS.images} image files, instead of a dataset",
            file_count="multiple",
            file_types=["image"],
            elem_id="files",
        )
    preset = gr.Radio(list(PRESETS), value=list(PRESETS)[1], label="How careful", elem_id="preset")
    with gr.Accordion("Number of images and passes", open=False):
        images = gr.Slider(
            LIMITS.least_images, LIMITS.images, PRESETS[preset.value][0], step=1, label="Images"
        )
        steps = gr.Slider(1, LIMITS.steps, PRESETS[preset.value][1], step=1, label="Passes")
    with gr.Row():
        start = gr.Button("Compare", variant="primary", elem_id="compare")
        stop = gr.Button("Cancel", elem_id="cancel")
    output = gr.HTML(elem_classes=["stir", "stir-output"], elem_id="output")
    done = gr.State(time_to_live=KEPT_SECONDS)
    preset.change(
        lambda name: PRESETS[name], preset, [images, steps], queue=False, api_visibility="private"
    )
    for box in (model, reference):
        box.key_up(search, None, box, queue=False, api_visibility="private", show_progress="hidden")
    running = start.click(
        compare,
        [model, reference, dataset, split, files, images, steps],
        [output, done],
        concurrency_limit=1,
        concurrency_id=QUEUE,
        show_progress="hidden",
        api_visibility="private",
    )
    stop.click(
        lambda: views.problem("cancelled; nothing of it was kept"),
        None,
        output,
        cancels=[running],
        queue=False,
        api_visibility="private",
    )
    if os.environ.get("OAUTH_CLIENT_ID"):
        _push_form(done)


def _push_form(done: gr.State) -> None:
    """Where the Space knows who is there."""

    def pushed(result: Any, repo: str, token: gr.OAuthToken | None) -> str:
        return push(result, repo, None if token is None else token.token)

    with gr.Accordion("Push to the Hub", open=False):
        gr.LoginButton()
        repo = gr.Textbox(label="Dataset repo", placeholder="you/name", max_length=200)
        send = gr.Button("Push inversions and scores")
        told = gr.HTML(elem_classes=["stir"])
        send.click(pushed, [done, repo], told, concurrency_id=QUEUE, api_visibility="private")


def judgement_form() -> None:
    """A checkpoint on published inversions, and the leaderboard of their repo."""
    inversions = gr.Textbox(
        label="Published inversions",
        info="the Hub id of a dataset repo that `stir-hf push` made",
        max_length=250,
        elem_id="inversions",
    )
    model = gr.Dropdown(
        list(MODELS), value="standard-1", label="Model", allow_custom_value=True, elem_id="judged"
    )
    start = gr.Button("Judge", variant="primary", elem_id="judge")
    output = gr.HTML(elem_classes=["stir", "stir-output"], elem_id="judgement")
    model.key_up(search, None, model, queue=False, api_visibility="private")
    start.click(
        judge,
        [inversions, model],
        output,
        concurrency_limit=1,
        concurrency_id=QUEUE,
        show_progress="hidden",
        api_visibility="private",
    )


def blocks(title: str) -> gr.Blocks:
    """An empty page; what it is sent is removed after ten minutes at the latest."""
    return gr.Blocks(title=title, analytics_enabled=False, delete_cache=(60, 600))


def add_api() -> None:
    """The endpoint `/scores`, which is also the MCP tool."""
    gr.api(  # type: ignore[attr-defined]  # a name that gradio gives late
        scores, api_name="scores", concurrency_limit=1, concurrency_id=QUEUE
    )


def serve(page: gr.Blocks, **how: Any) -> Any:
    """Serve a page, API and MCP tool: a queue of 20, small uploads, no foreign host."""
    warm_up()
    page.queue(max_size=20, default_concurrency_limit=8)
    font = ["system-ui", "sans-serif"]
    return page.launch(
        theme=gr.themes.Default(font=font, font_mono=["ui-monospace", "monospace"]),
        css_paths=STYLE,
        max_file_size=LIMITS.upload,
        footer_links=["api"],
        mcp_server=True,
        ssr_mode=False,
        run_history=False,
        **how,
    )
