"""A page from which gradio removes uploads after a second."""

import time
from collections.abc import Iterator
from pathlib import Path

import gradio as gr

from stir_hf.space import page


def stream(name: str) -> Iterator[str]:
    """Yield until gradio closes it, which leaves a file."""
    try:
        while True:
            time.sleep(0.1)
            yield name
    finally:
        Path(f"closed-{name}").touch()


if __name__ == "__main__":
    vars(page).update(LOOK_SECONDS=1, KEPT_SECONDS=1)
    with page.blocks("a page") as blocks:
        box = gr.Textbox()
        gr.Button().click(stream, box, box, api_name="stream", **page.PUBLIC)
    blocks.queue().launch(ssr_mode=False, run_history=False, max_file_size=1000)
