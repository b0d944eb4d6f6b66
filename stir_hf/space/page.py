"""The page: its forms, and how it is served."""

import os
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from stir_hf.demo import MODELS
from stir_hf.space import views
from stir_hf.space.asked import EMBEDDED, LIMITS
from stir_hf.space.gate import Gate, visitor
from stir_hf.space.handlers import (
    OWN_NUMBERS,
    PRESETS,
    USUAL,
    compare,
    judge,
    push,
    scores,
    search,
)
from stir_hf.space.work import Run, on_zero_gpu, runner, warm_up

STYLE = Path(__file__).parent / "style.css"
WORKING: dict[str, Any] = {
    "concurrency_limit": 1,
    "concurrency_id": "one at a time",
    "api_visibility": "private",
}
"""Of all that computes: one request at a time, whatever the form."""
AT_ONCE: dict[str, Any] = {
    "queue": False,
    "show_progress": "hidden",
    "api_visibility": "private",
}
SEARCHING: dict[str, Any] = {
    "concurrency_limit": 2,
    "concurrency_id": "search",
    "trigger_mode": "always_last",
    "show_progress": "hidden",
    "api_visibility": "private",
}


def uploaded_only(box: gr.File) -> gr.File:
    """A box of files that fetches no address and makes no further file for each.

    Its methods are replaced, as gradio writes a file beside the module of a class that is derived
    from its own.
    """
    fetch, fetch_at_once = box.async_move_resource_to_block_cache, box.move_resource_to_block_cache

    async def moved(given: Any) -> Any:
        _check_uploaded(given)
        return await fetch(given)

    def moved_at_once(given: Any) -> Any:
        _check_uploaded(given)
        return fetch_at_once(given)

    replaced: Any = box
    replaced.async_move_resource_to_block_cache = moved
    replaced.move_resource_to_block_cache = moved_at_once
    replaced._process_single_file = lambda file: str(file.path)
    return box


def _check_uploaded(given: Any) -> None:
    if "://" in str(given or ""):
        raise gr.Error("images are uploaded, not fetched from an address", print_exception=False)


def blocks(title: str) -> gr.Blocks:
    """An empty page; what it is sent is removed after ten minutes at the latest."""
    return gr.Blocks(title=title, analytics_enabled=False, delete_cache=(60, 600))


def comparison_form() -> None:
    """The form of a comparison and its results."""
    with gr.Row():
        model = models("Model", "embedded, or type to search the Hub", "standard-0", "model")
        reference = models("Reference", "whose blind spots are tested", "robust-0", "reference")
    data = images_form()
    effort = effort_form()
    with gr.Row():
        start = gr.Button("Compare", variant="primary", elem_id="compare")
        stop = gr.Button("Cancel", elem_id="cancel")
    output = gr.HTML(elem_classes=["stir"], elem_id="output")
    key = gr.State()
    asked, files = [model, reference, *data, *effort], data[-1]
    running = start.click(compare, asked, [output, key, files], show_progress="hidden", **WORKING)
    stopped = stop.click(_cancelled, None, output, cancels=[running], **AT_ONCE)
    stopped.then(_cancelled_at_last, None, output, **AT_ONCE)
    if os.environ.get("OAUTH_CLIENT_ID"):
        push_form(key)


def models(label: str, info: str, value: str, elem_id: str) -> gr.Dropdown:
    """A choice of the embedded models, or of one on the Hub."""
    box = gr.Dropdown(
        list(MODELS),
        value=value,
        label=label,
        info=info,
        allow_custom_value=True,
        elem_id=elem_id,
        min_width=280,
    )
    box.key_up(search, None, box, **SEARCHING)
    return box


def images_form() -> tuple[Any, Any, Any]:
    """Which images: a dataset and its split, or files."""
    with gr.Row():
        dataset = gr.Dropdown(
            [EMBEDDED],
            value=EMBEDDED,
            label="Images",
            info="embedded, or the Hub id of a dataset",
            allow_custom_value=True,
            elem_id="dataset",
            min_width=280,
        )
        split = gr.Textbox(
            label="Split",
            info="empty: test, validation or the only one",
            max_length=140,
            elem_id="split",
            min_width=280,
        )
    with gr.Accordion("Your own images", open=False):
        files = gr.File(
            label=f"{LIMITS.least_images} to {LIMITS.images} image files, instead of a dataset",
            file_count="multiple",
            file_types=["image"],
            elem_id="files",
        )
    uploaded_only(files)
    return dataset, split, files


def effort_form() -> tuple[Any, Any, Any]:
    """How many images and passes: a preset, or numbers."""
    preset = gr.Radio([*PRESETS, OWN_NUMBERS], value=USUAL, label="How careful", elem_id="preset")
    with gr.Accordion("Numbers of your own", open=False):
        count, passes = PRESETS[USUAL]
        images = gr.Slider(LIMITS.least_images, LIMITS.images, count, step=1, label="Images")
        steps = gr.Slider(1, LIMITS.steps, passes, step=1, label="Passes")
    for slider in (images, steps):
        slider.release(lambda: OWN_NUMBERS, None, preset, **AT_ONCE)
    return preset, images, steps


def _cancelled() -> str:
    return views.problem("cancelled; nothing of it was kept")


def _cancelled_at_last() -> str:
    """Once more, as a step that was on its way may have come in between."""
    time.sleep(1)
    return _cancelled()


def push_form(key: gr.State) -> None:
    """Where the Space knows who is there."""

    def pushed(key: str | None, repo: str, token: gr.OAuthToken | None) -> str:
        return push(key, repo, None if token is None else token.token)

    with gr.Accordion("Push to the Hub", open=False):
        gr.LoginButton()
        repo = gr.Textbox(label="Dataset repo", placeholder="you/name", max_length=200)
        send = gr.Button("Push inversions and scores")
        told = gr.HTML(elem_classes=["stir"])
        send.click(pushed, [key, repo], told, **WORKING)


def judgement_form() -> None:
    """A checkpoint on published inversions, and the leaderboard of their repo."""
    inversions = gr.Textbox(
        label="Published inversions",
        info="the Hub id of a dataset repo that `stir-hf push` made",
        max_length=250,
        elem_id="inversions",
    )
    model = models("Model", "embedded, or type to search the Hub", "standard-1", "judged")
    start = gr.Button("Judge", variant="primary", elem_id="judge")
    output = gr.HTML(elem_classes=["stir"], elem_id="judgement")
    start.click(judge, [inversions, model], output, show_progress="hidden", **WORKING)


def add_api() -> None:
    """The endpoint `/scores`, which is also the MCP tool."""
    how = {name: value for name, value in WORKING.items() if name != "api_visibility"}
    gr.api(scores, api_name="scores", **how)  # type: ignore[attr-defined]  # given late


def serve(page: gr.Blocks, **how: Any) -> Any:
    """Serve a page, its API and MCP tool: a queue of 20, small uploads, no foreign host."""
    if runner() is Run:
        warm_up()
    else:
        on_zero_gpu()
    page.queue(max_size=20, default_concurrency_limit=8, api_open=False)
    theme = gr.themes.Default(
        primary_hue="blue",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    ).set(
        button_primary_background_fill="#0b5cad",
        button_primary_background_fill_dark="#0b5cad",
        button_primary_background_fill_hover="#094a8c",
        button_primary_background_fill_hover_dark="#094a8c",
        block_info_text_color="#4b5563",
        block_info_text_color_dark="#c3c8d0",
        block_label_text_color="#1f2937",
        block_title_text_color="#1f2937",
    )
    return page.launch(
        theme=theme,
        css_paths=STYLE,
        max_file_size=LIMITS.upload,
        footer_links=[],
        mcp_server=True,
        ssr_mode=False,
        run_history=False,
        app_kwargs={"middleware": [Middleware(Gate, partial(_waiting, page), _uploads())]},
        **how,
    )


def _waiting(page: Any, address: str) -> int:
    """How many requests of an address are at work or wait."""
    queue = page._queue
    waiting = [e for q in queue.event_queue_per_concurrency_id.values() for e in q.queue]
    working = [event for job in queue.active_jobs for event in job or ()]
    computing = (e for e in (*waiting, *working) if e.concurrency_id == WORKING["concurrency_id"])
    return sum(visitor(event.request.scope) == address for event in computing)


def _uploads() -> Path:
    return Path(os.environ.get("GRADIO_TEMP_DIR") or Path(tempfile.gettempdir()) / "gradio")
