"""The page: its forms, and how it is served."""

import asyncio
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from stir_hf.demo import MODELS
from stir_hf.report import page as views
from stir_hf.space import handlers
from stir_hf.space.asked import EMBEDDED, LIMITS
from stir_hf.space.gate import BODY, Gate
from stir_hf.space.handlers import OWN_NUMBERS, PRESETS, USUAL
from stir_hf.space.uploads import KEPT_SECONDS, LOOK_SECONDS
from stir_hf.space.visits import VISITS
from stir_hf.space.work import warm_up
from stir_hf.space.zero_gpu import is_zero_gpu, lent

STYLE = Path(__file__).parent / "style.css"
PUBLIC: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": "one at a time"}
"""Options of everything that computes: one request at a time, whatever the form."""
WORKING: dict[str, Any] = {**PUBLIC, "api_visibility": "private"}
AS_SENT: dict[str, Any] = {**WORKING, "preprocess": False, "show_progress": "hidden"}
"""Options of the forms: gradio leaves inputs alone, of which it would make further files."""
AT_ONCE: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
COLOURS = {
    "button_primary_background_fill": "#0b5cad",
    "button_primary_background_fill_dark": "#0b5cad",
    "button_primary_background_fill_hover": "#094a8c",
    "button_primary_background_fill_hover_dark": "#094a8c",
    "block_info_text_color": "#4b5563",
    "block_info_text_color_dark": "#c3c8d0",
    "block_label_text_color": "#1f2937",
    "block_title_text_color": "#1f2937",
}
"""Colours with enough contrast, light and dark."""


def blocks(title: str) -> gr.Blocks:
    """Return an empty page, from which gradio removes old uploads."""
    ages = (LOOK_SECONDS, KEPT_SECONDS)
    return gr.Blocks(title=title, analytics_enabled=False, delete_cache=ages)


def comparison_form() -> None:
    """Add the form of a comparison and its results."""
    with gr.Row():
        model = models("Model", "embedded, or type to search the Hub", "standard-0", "model")
        reference = models(
            "Reference", "the network whose invariances are tested", "robust-0", "reference"
        )
    data = images_form()
    effort = effort_form()
    with gr.Row():
        start = gr.Button("Compare", variant="primary", elem_id="compare")
        stop = gr.Button("Cancel", elem_id="cancel")
    output = gr.HTML(elem_classes=["stir"], elem_id="output")
    key = gr.State()
    asked, files = [model, reference, *data, *effort], data[-1]
    running = start.click(handlers.compare, asked, [output, key, files], **AS_SENT)
    cancel_by(stop, running, output, files)
    if handlers.signs_in():
        push_form(key)


def cancel_by(button: gr.Button, running: Any, output: gr.HTML, *emptied: Any) -> None:
    """Make a button end a request at once, say so, and empty boxes."""
    cancelled = views.problem("cancelled; nothing of it was kept")

    async def at_last() -> str:  # once more, as a step that was under way may have come in between
        await asyncio.sleep(1)
        return cancelled

    stopped = button.click(
        lambda: {output: cancelled, **dict.fromkeys(emptied)},
        None,
        [output, *emptied],
        cancels=[running],
        **AT_ONCE,
    )
    stopped.then(at_last, None, output, **AT_ONCE)


def choice(choices: Sequence[str], value: str, label: str, info: str, name: str) -> gr.Dropdown:
    """Add a choice of what is embedded, or of a name on the Hub."""
    about: Any = {"label": label, "info": info, "elem_id": name}
    return gr.Dropdown(choices, value=value, allow_custom_value=True, min_width=280, **about)


def models(label: str, info: str, value: str, name: str) -> gr.Dropdown:
    """Add a choice of models, with a search on the Hub."""
    box = choice(MODELS, value, label, info, name)
    box.key_up(handlers.search, None, box, trigger_mode="always_last", **AT_ONCE)
    return box


def images_form() -> tuple[Any, Any, Any]:
    """Add the choice of images: a dataset and its split, or files."""
    with gr.Row():
        info = "embedded, or the Hub id of a dataset"
        dataset = choice([EMBEDDED], EMBEDDED, "Images", info, "dataset")
        split = gr.Textbox(
            label="Split",
            info="if empty: test, validation or the only one",
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
    """Add the choice of images and passes: a preset, or numbers."""
    preset = gr.Radio([*PRESETS, OWN_NUMBERS], value=USUAL, label="Effort", elem_id="preset")
    with gr.Accordion("Your own numbers", open=False):
        count, passes = PRESETS[USUAL]
        images = gr.Slider(LIMITS.least_images, LIMITS.images, count, step=1, label="Images")
        steps = gr.Slider(1, LIMITS.steps, passes, step=1, label="Passes")
    for slider in (images, steps):
        slider.release(lambda: OWN_NUMBERS, None, preset, **AT_ONCE)
    return preset, images, steps


def push_form(key: gr.State) -> None:
    """Add the form that sends a result to a visitor's own repo."""
    with gr.Accordion("Push to the Hub", open=False):
        gr.LoginButton()
        repo = gr.Textbox(label="Dataset repo", placeholder="you/name", max_length=200)
        send = gr.Button("Push inversions and scores")
        told = gr.HTML(elem_classes=["stir"])
        send.click(handlers.push, [key, repo], told, **WORKING)


def judgement_form() -> None:
    """Add the form that judges a checkpoint on published inversions, with their leaderboard."""
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
    running = start.click(handlers.judge, [inversions, model], output, **AS_SENT)
    cancel_by(stop, running, output)


def add_api() -> None:
    """Add the endpoint `/scores`, which is also the MCP tool."""
    gr.api(handlers.scores, api_name="scores", **PUBLIC)  # type: ignore[attr-defined]  # given late


def serve(page: gr.Blocks, **how: Any) -> Any:
    """Serve a page, its API and MCP tool: a queue of 20, small uploads, no foreign host."""
    if is_zero_gpu():
        lent()
    else:
        warm_up()
    page.queue(max_size=20, default_concurrency_limit=8, api_open=False)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # runs what is registered for exit
    theme = gr.themes.Default(
        primary_hue="blue",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )
    return page.launch(
        theme=theme.set(**COLOURS),
        css_paths=STYLE,
        max_file_size=LIMITS.upload,
        footer_links=[],
        mcp_server=True,
        ssr_mode=False,
        run_history=False,
        app_kwargs={"middleware": [Middleware(Gate, VISITS)]},
        **how,
    )
