"""The metric's page: two checkpoints and images in, both directions out, within the Space's limits;
the card below.
"""

import re
from pathlib import Path

CARD = Path(__file__).parent / "README.md"


def main() -> None:
    """Build the page and serve it."""
    from stir_hf.space import uploads, work

    uploads.claim()  # before gradio looks where to put them
    work.begin()  # while gradio is imported
    import gradio as gr

    from stir_hf.space import page

    with page.blocks("STIR") as demo:
        gr.Markdown("# STIR: does this model ignore what that model ignores?")
        page.comparison_form()
        page.glossary()
        page.add_api()
        card = CARD.read_text("utf-8").split("---", 2)[2]
        gr.Markdown(re.sub(r"^(#+ )", r"#\1", card, flags=re.MULTILINE))  # below the page's own
    page.serve(demo)


if __name__ == "__main__":  # requests run in processes that import this file
    main()
