"""The module's page: two checkpoints and a dataset in, both directions and the inversions out."""

import tempfile
from pathlib import Path

import gradio as gr
import pandas as pd

from stir_hf import Inversions, RequestError, RunError, compare
from stir_hf.demo import IMAGES, MODELS, model_path
from stir_hf.report.figures import save_figures

CARD = (Path(__file__).parent / "README.md").read_text("utf-8").split("---", 2)[2]
EMBEDDED = "embedded: 200 images of Fashion-MNIST"
MOST_IMAGES = 200


def run(
    model: str, reference: str, dataset: str, split: str, images: int, steps: int
) -> tuple[pd.DataFrame, str, str]:
    """STIR of two checkpoints in both directions: the numbers, what must be known about them, and
    a picture.
    """
    data = str(IMAGES) if dataset == EMBEDDED else dataset
    names = [model_path(name) if name in MODELS else name for name in (model, reference)]
    with tempfile.TemporaryDirectory() as folder:
        try:
            result = compare(
                *names,
                data,
                split=split or None,
                num_samples=int(images),
                steps=int(steps),
                out=folder,
            )
        except (RequestError, RunError) as error:
            raise gr.Error(str(error)) from error
        save_figures(result, Inversions.load_all(folder), Path(folder))
        picture = Path(tempfile.mkdtemp()) / "pairs.png"
        picture.write_bytes((Path(folder) / "figures" / "pairs.png").read_bytes())
    directions = ("model given reference", "reference given model")
    table = pd.DataFrame(
        {d: s.flat() for d, s in zip(directions, result.scores, strict=True)}
    ).round(3)
    notes = dict.fromkeys(f"- {note}" for score in result.scores for note in score.notes)
    return table.rename_axis("value").reset_index(), "\n".join(notes), str(picture)


with gr.Blocks(title="STIR") as page:
    gr.Markdown("# STIR: does this model ignore what that model ignores?")
    with gr.Row():
        choices = {"choices": list(MODELS), "allow_custom_value": True}
        model = gr.Dropdown(value="standard-0", label="Model (embedded, or a Hub id)", **choices)
        reference = gr.Dropdown(
            value="robust-0", label="Reference (embedded, or a Hub id)", **choices
        )
    with gr.Row():
        dataset = gr.Dropdown(
            [EMBEDDED],
            value=EMBEDDED,
            label="Dataset (embedded, or a Hub id)",
            allow_custom_value=True,
        )
        split = gr.Textbox(label="Split", placeholder="test, validation or the only one")
    with gr.Row():
        images = gr.Slider(4, MOST_IMAGES, 40, step=1, label="Images")
        steps = gr.Slider(1, 500, 100, step=1, label="Most passes per image")
    button = gr.Button("Compute", variant="primary")
    table = gr.Dataframe(label="Scores")
    notes = gr.Markdown()
    picture = gr.Image(label="Originals above their inversions", format="png")
    button.click(run, [model, reference, dataset, split, images, steps], [table, notes, picture])
    gr.Markdown(CARD)

if __name__ == "__main__":
    page.launch()
