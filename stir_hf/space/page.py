"""The page: its forms, and how it is served."""

import asyncio
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from stir_hf.demo import MODELS
from stir_hf.report import page as views
from stir_hf.space import uploads
from stir_hf.space.asked import EMBEDDED, LIMITS
from stir_hf.space.gate import BODY, Gate
from stir_hf.space.handlers import (
    OWN_NUMBERS,
    PRESETS,
    USUAL,
    compare,
    judge,
    push,
    scores,
    search,
    signs_in,
)
from stir_hf.space.waiting import COMPUTING, Waiting
from stir_hf.space.work import warm_up
from stir_hf.space.zero_gpu import is_zero_gpu, lent

STYLE = Path(__file__).parent / "style.css"
WORKING: dict[str, Any] = {
    "concurrency_limit": 1,
    "concurrency_id": COMPUTING,
    "api_visibility": "private",
}
"""Of all that computes: one request at a time, whatever the form."""
AT_ONCE: dict[str, Any] = {
    "queue": False,
    "show_progress": "hidden",
    "api_visibility": "private",
}


def blocks(title: str) -> gr.Blocks:
    """An empty page."""
    return gr.Blocks(title=title, analytics_enabled=False)


def comparison_form() -> None:
    """The form of a comparison and its results."""
    with gr.Row():
        model = models("Model", "embedded, or type to search the Hub", "standard-0", "model")
        reference = models(
            "Reference", "what it ignores is asked of the model", "robust-0", "reference"
        )
    data = images_form()
    effort = effort_form()
    with gr.Row():
        start = gr.Button("Compare", variant="primary", elem_id="compare")
        stop = gr.Button("Cancel", elem_id="cancel")
    output = gr.HTML(elem_classes=["stir"], elem_id="output")
    key = gr.State()
    asked, files = [model, reference, *data, *effort], data[-1]
    # The inputs as they are sent: gradio would make a further file of each upload.
    how: Any = {**WORKING, "preprocess": False, "show_progress": "hidden"}
    running = start.click(compare, asked, [output, key, files], **how)
    cancel_by(stop, running, output, files)
    if signs_in():
        push_form(key)


def cancel_by(button: gr.Button, running: Any, output: gr.HTML, *emptied: Any) -> None:
    """What ends a request at once, says so, and empties boxes."""
    stopped = button.click(_cancelled, None, output, cancels=[running], **AT_ONCE)
    for box in emptied:
        button.click(lambda: None, None, box, **AT_ONCE)
    stopped.then(_cancelled_at_last, None, output, **AT_ONCE)


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
    box.key_up(search, None, box, trigger_mode="always_last", **AT_ONCE)
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
            label=f"{LIMITS.least_images} to {LIMITS.images} image files instead of a dataset,"
            f" {BODY // 1_000_000} MB together",
            file_count="multiple",
            file_types=["image"],
            elem_id="files",
        )
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


async def _cancelled_at_last() -> str:
    """Once more, as a step that was on its way may have come in between."""
    await asyncio.sleep(1)
    return _cancelled()


def push_form(key: gr.State) -> None:
    """Where the Space knows who is there."""

    def pushed(key: str | None, repo: str, token: gr.OAuthToken | None, request: gr.Request) -> str:
        return push(key, repo, None if token is None else token.token, request)

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
    with gr.Row():
        start = gr.Button("Judge", variant="primary", elem_id="judge")
        stop = gr.Button("Cancel", elem_id="cancel-judging")
    output = gr.HTML(elem_classes=["stir"], elem_id="judgement")
    how: Any = {**WORKING, "preprocess": False, "show_progress": "hidden"}
    cancel_by(stop, start.click(judge, [inversions, model], output, **how), output)


def add_api() -> None:
    """The endpoint `/scores`, which is also the MCP tool."""
    how = {name: value for name, value in WORKING.items() if name != "api_visibility"}
    gr.api(scores, api_name="scores", **how)  # type: ignore[attr-defined]  # given late


SWEEP_EVERY = 30
"""Seconds between two looks at what nobody needs any more."""


def _keep_clean(waiting: Waiting) -> None:
    while True:
        time.sleep(SWEEP_EVERY)
        uploads.sweep(waiting.names)
        waiting.sweep()


def serve(page: gr.Blocks, **how: Any) -> Any:
    """Serve a page, its API and MCP tool: a queue of 20, small uploads, no foreign host."""
    if is_zero_gpu():
        lent()
    else:
        warm_up()
    page.queue(max_size=20, default_concurrency_limit=8, api_open=False)
    waiting = Waiting(page._queue)
    threading.Thread(target=_keep_clean, args=(waiting,), daemon=True, name="keep clean").start()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # what goes at exit, goes
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
        app_kwargs={"middleware": [Middleware(Gate, waiting.count, uploads.size)]},
        **how,
    )
