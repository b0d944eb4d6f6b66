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
from stir_hf.publish.spaces.requirement import repository, requirement
from stir_hf.report import page as views
from stir_hf.space import handlers
from stir_hf.space.asked import EMBEDDED, LIMITS
from stir_hf.space.endpoint import ABOUT, scores, tell_json
from stir_hf.space.guards.gate import BODY, MOST, Gate
from stir_hf.space.guards.visits import VISITS
from stir_hf.space.handlers import OWN_NUMBERS, PRESETS, USUAL
from stir_hf.space.uploads import KEPT_SECONDS, LOOK_SECONDS
from stir_hf.space.work import warm_up

STYLE = Path(__file__).parent / "style.css"
PUBLIC: dict[str, Any] = {"concurrency_limit": MOST}
"""Options of everything that computes: requests wait in a line of their own, and say so."""
WORKING: dict[str, Any] = {**PUBLIC, "api_visibility": "private"}
AS_SENT: dict[str, Any] = {**WORKING, "preprocess": False, "show_progress": "hidden"}
"""Options of the forms: gradio leaves inputs alone, of which it would make further files."""
EMPTY = '<p class="hint">The results appear here.</p>'
AT_ONCE: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
_ACTIVE = "{{interactive: {}, __type__: 'update'}}"
BUSY, IDLE = (
    f"() => [{_ACTIVE.format(start)}, {_ACTIVE.format(stop)}]"
    for start, stop in (("false", "true"), ("true", "false"))
)
"""JavaScript that switches the buttons to start and to cancel: something runs, or nothing does."""
LOOK = """() => {{
  const output = document.getElementById('{}');
  output.setAttribute('aria-live', 'polite');
  output.tabIndex = -1;
  output.focus({{preventScroll: true}});
  output.scrollIntoView({{behavior: 'smooth'}});
}}"""
"""JavaScript that shows an output and gives it the focus of the button, which is inactive now."""
ON_LOAD = """() => document.addEventListener('focusout', ({target}) => setTimeout(() => {
  if (target.getAttribute('role') === 'combobox' && target !== document.activeElement)
    target.dispatchEvent(new KeyboardEvent('keydown', {key: 'Escape', bubbles: true}));
}, 100))"""
"""JavaScript that closes the list of a dropdown that is left. Gradio 6.31 opens it again, as it
handles the last key after the box has lost the focus.
"""
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


def heading() -> None:
    """Add the title of the page, and links to the paper and the package."""
    gr.HTML(views.heading(repository(requirement())), elem_classes=["stir"])


def glossary() -> None:
    """Add the meaning of the words on the page."""
    gr.HTML(views.glossary(), elem_classes=["stir"])


def comparison_form(first: str = "") -> None:
    """Add the form of a comparison beside its results, in whose place `first` is shown before."""
    with gr.Row():
        with gr.Column(scale=3, min_width=320):
            output = gr.HTML(first or EMPTY, elem_classes=["stir"], elem_id="output")
        with gr.Column(scale=2, min_width=320):
            model = models("Model", "embedded, or type to search the Hub", "standard-0", "model")
            reference = models(
                "Reference", "the network whose invariances are tested", "robust-0", "reference"
            )
            data = images_form()
            effort = effort_form()
            key, files = gr.State(), data[-1]
            asked = [model, reference, *data, *effort]
            buttons("Compare", handlers.compare, asked, [output, key, files])
            if handlers.signs_in():
                push_form(key)


def buttons(label: str, handler: Any, asked: list[Any], told: list[Any]) -> None:
    """Add a button that starts a request, and one that cancels it: each is active while the other
    is not. A click shows the output, which is the first of those that are `told`; cancelling
    empties the others.
    """
    with gr.Row():
        start = gr.Button(label, variant="primary", elem_id=label.lower())
        stop = gr.Button("Cancel", elem_id=f"cancel-{label.lower()}", interactive=False)
    both, (output, *others) = [start, stop], told
    start.click(None, None, both, js=BUSY, **AT_ONCE)  # a browser does these in their order
    start.click(None, None, None, js=LOOK.format(output.elem_id), **AT_ONCE)
    running = start.click(handler, asked, told, **AS_SENT)
    running.then(None, None, both, js=IDLE, **AT_ONCE)
    running.failure(None, None, both, js=IDLE, **AT_ONCE)  # the gate refuses it
    cancelled = views.problem("cancelled; nothing of it was kept")

    async def at_last() -> str:  # once more, as a step that was under way may have come in between
        await asyncio.sleep(1)
        return cancelled

    stopped = stop.click(
        lambda: {output: cancelled, **dict.fromkeys(others)},
        None,
        told,
        cancels=[running],
        **AT_ONCE,
    )
    stopped.then(at_last, None, output, **AT_ONCE).then(None, None, both, js=IDLE, **AT_ONCE)


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
    """Add the form that judges a checkpoint on published inversions, beside its results."""
    with gr.Row():
        with gr.Column(scale=3, min_width=320):
            output = gr.HTML(EMPTY, elem_classes=["stir"], elem_id="judgement")
        with gr.Column(scale=2, min_width=320):
            inversions = gr.Textbox(
                label="Published inversions",
                info="the Hub id of a dataset repo that `stir-hf push` made",
                max_length=250,
                elem_id="inversions",
            )
            model = models("Model", "embedded, or type to search the Hub", "standard-1", "judged")
            buttons("Judge", handlers.judge, [inversions, model], [output])


def add_api() -> None:
    """Add the endpoint `/scores`, which is also the MCP tool."""
    about = {"api_name": "scores", "api_description": ABOUT}
    gr.api(scores, **about, **PUBLIC)  # type: ignore[attr-defined]  # given late


def serve(page: gr.Blocks, **how: Any) -> None:
    """Serve a page, its API and MCP tool: a line of 20, small uploads, no foreign host."""
    warm_up()
    inputs: dict[Any, int] = {}
    for number, function in page.fns.items():
        inputs |= dict.fromkeys((number, function.api_name), len(function.inputs))
    page.queue(max_size=MOST, default_concurrency_limit=8, api_open=False)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # runs what is registered for exit
    theme = gr.themes.Default(
        primary_hue="blue",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )
    page.launch(
        prevent_thread_lock=True,
        theme=theme.set(**COLOURS),
        css_paths=STYLE,
        js=ON_LOAD,
        max_file_size=LIMITS.upload,
        footer_links=[],
        mcp_server=True,
        ssr_mode=False,
        run_history=False,
        app_kwargs={"middleware": [Middleware(Gate, VISITS, inputs)]},
        **how,
    )
    tell_json(page)
    page.block_thread()
