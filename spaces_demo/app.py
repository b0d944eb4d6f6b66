"""The Space: what two networks share and what they do not, then two of the visitor's own."""

import json
from pathlib import Path

HERE = Path(__file__).parent


def main() -> None:
    """Build the page and serve it."""
    from stir_hf.space import uploads, work

    uploads.claim()  # before gradio looks where to put them
    work.begin()  # while gradio is imported
    import gradio as gr

    from stir_hf.report import page as views
    from stir_hf.space import handlers, page

    example = json.loads((HERE / "example.json").read_text("utf-8"))
    with page.blocks("STIR: compare two checkpoints") as demo:
        page.heading()
        with gr.Tab("Compare"):
            page.comparison_form(views.first_view(example, handlers.MORE.format(page.LIMITS.steps)))
        with gr.Tab("Judge"):
            page.judgement_form()
        page.glossary()
        page.add_api()
    page.serve(demo)


if __name__ == "__main__":  # requests run in processes that import this file
    main()
