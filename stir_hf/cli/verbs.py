"""Commands that invert, judge and list layers, by the functions of `stir_hf.api`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stir_hf.cli.app import MODEL, Verb, app, common_options, example, together
from stir_hf.cli.streams import echo, echo_json
from stir_hf.errors import printable
from stir_hf.launched import main_process

if TYPE_CHECKING:
    from stir_hf.results import StirResult

inverting_options = together(
    click.option(
        "--dataset",
        required=True,
        metavar="DATA",
        help="Hub id, id@revision or local folder of the data.",
    ),
    click.option(
        "--dry-run",
        is_flag=True,
        help="Estimate the time, memory and disk from a few passes, and stop.",
    ),
    common_options,
)


@app.command(epilog=example("stir-hf demo --out demo"))
@click.option(
    "--out",
    metavar="DIR",
    default="stir-hf-demo",
    show_default=True,
    help="Folder for pictures and result.json.",
)
@common_options
def demo(out: str, as_json: bool) -> None:
    """Compare the four embedded networks on 200 real images: standard and robust ones, every
    pair.
    """
    from stir_hf.api import matrix
    from stir_hf.cli.told import draw_demo
    from stir_hf.demo import IMAGES, MODELS, STEPS, model_path

    models = [model_path(name) for name in MODELS]
    names = [f"{model_path(name)}={name}" for name in MODELS] + [f"{IMAGES}=fashion_mnist"]
    result = matrix(models, str(IMAGES), steps=STEPS, batch_size=100, out=out, name=names)
    _show(result, out, as_json)
    if main_process():
        draw_demo(result, Path(out))


@app.command(
    cls=Verb,
    epilog=example(
        "stir-hf compare org/finetuned org/original --dataset org/images --num-samples 500"
        " --out run",
        f"{MODEL}, and so is REFERENCE",
    ),
)
@click.argument("model")
@click.argument("reference")
@inverting_options
def compare(model: str, reference: str, dataset: str, as_json: bool, **options: Any) -> None:
    """Compare in both directions: STIR(MODEL | REFERENCE) and STIR(REFERENCE | MODEL)."""
    from stir_hf.api import compare

    if not _is_estimate("compare", [model, reference], dataset, options, as_json):
        _show(compare(model, reference, dataset, **_given(options)), options["out"], as_json)


@app.command(
    cls=Verb,
    epilog=example(
        "stir-hf invert org/original --dataset org/images --num-samples 500 --out run",
        MODEL.replace("MODEL", "REFERENCE"),
    ),
)
@click.argument("reference")
@inverting_options
def invert(reference: str, dataset: str, as_json: bool, **options: Any) -> None:
    """Find for each sample an input that REFERENCE represents nearly alike, and keep the pairs."""
    from stir_hf.api import invert
    from stir_hf.cli.told import other_notes
    from stir_hf.engine import Tolerance
    from stir_hf.report import drawable, pairs, summary
    from stir_hf.scoring import notes_on

    if _is_estimate("invert", [reference], dataset, options, as_json):
        return
    made = invert(reference, dataset, **_given(options))
    if not main_process():
        return
    where = shown = ""
    if options["out"] is not None:
        where = f" in {made.path}"
        if drawable(made):
            figure = Path(options["out"]) / "figures" / "pairs.png"
            figure.parent.mkdir(exist_ok=True)
            pairs([made]).savefig(figure, dpi=130, bbox_inches="tight")
            shown = f"; {figure} shows some"
    about = {**summary(made), "notes": list(notes_on(made))}
    if as_json:
        echo_json(about)
        return
    for note in other_notes(about["notes"]):
        echo(f"Note: {note}")
    rest, left = about["unconverged"], about["spread_error"]
    of_spread = f" ({left['median']:.3f} of the spread)" if left else ""
    others = f", the others at {rest['median']:.3f} (median)" if rest else ""
    echo(
        f"{about['rows']} inversions{where}: median relative error"
        f" {about['relative_error']['median']:.3f}{of_spread}, {about['converged']:.0%} at or below"
        f" {Tolerance.parse(about['tolerance'])}{others}{shown}"
    )


@app.command(epilog=example("stir-hf merge parts/1 parts/2 --out run"))
@click.argument("folders", nargs=-1, required=True, metavar="DIR...")
@click.option("--out", required=True, metavar="DIR", help="Folder of the joined sets.")
@common_options
def merge(folders: tuple[str, ...], out: str, as_json: bool) -> None:
    """Join the parts of inversion sets that `invert --part` wrote to separate folders."""
    from stir_hf.data.sets.inversions import Inversions
    from stir_hf.data.sets.parts import merge
    from stir_hf.report import summary

    made = [Inversions.read(path) for path in merge(folders, out)]
    if as_json:
        echo_json({"merged": [summary(one) for one in made]})
        return
    for one in made:
        echo(
            f"{len(one)} inversions in {one.path}: {one.num_samples} samples, finished"
            " from the first on"
        )


@app.command(
    cls=Verb,
    epilog=example(
        "stir-hf score org/finetuned org/distilled --inversions run --out scores", MODEL
    ),
)
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option(
    "--inversions",
    required=True,
    metavar="DIR_OR_ID",
    help="Folder that `invert`, `compare` or `matrix` wrote, or a dataset repo on the Hub that"
    " `push` made: NAMESPACE/NAME or NAMESPACE/NAME@REVISION.",
)
@common_options
def score(models: tuple[str, ...], inversions: str, as_json: bool, **options: Any) -> None:
    """Score each MODEL on existing inversions; the reference is not loaded."""
    from stir_hf.api import score

    _show(score(list(models), inversions, **_given(options)), None, as_json)


@app.command(
    cls=Verb,
    epilog=example(
        "stir-hf matrix org/a org/b org/c --dataset org/images --num-samples 500 --out run", MODEL
    ),
)
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@inverting_options
def matrix(models: tuple[str, ...], dataset: str, as_json: bool, **options: Any) -> None:
    """Compare every ordered pair of the MODELS, with one inversion set for each."""
    from stir_hf.api import matrix

    if not _is_estimate("matrix", list(models), dataset, options, as_json):
        _show(matrix(list(models), dataset, **_given(options)), options["out"], as_json)


@app.command(epilog=example("stir-hf layers org/original", MODEL))
@click.argument("model")
@click.option(
    "--trust-remote-code", is_flag=True, help="Run the Python code in MODEL's repository."
)
@click.option(
    "--device",
    metavar="NAME",
    default="cpu",
    show_default=True,
    help="Device of the single forward pass.",
)
@common_options
def layers(model: str, trust_remote_code: bool, device: str, as_json: bool) -> None:
    """List the readable layers of MODEL: name, shape and default pooling."""
    from dataclasses import asdict

    from stir_hf.models import load_encoder
    from stir_hf.models.read.probing import LayerError

    try:
        encoder = load_encoder(model, "output", device=device, trust_remote_code=trust_remote_code)
        found = [layer for layer in (encoder.penultimate, *encoder.layers) if layer is not None]
    except LayerError as error:  # the output cannot be read; others may
        found = list(error.layers)
    if as_json:
        echo_json([{k: v for k, v in asdict(one).items() if v is not None} for one in found])
        return
    width = max(len(printable(layer.name)) for layer in found)
    for layer in found:
        shape, name = "x".join(map(str, layer.shape)), printable(layer.name).ljust(width)
        lacks = f"  not to be read: the checkpoint lacks {layer.lacks}" if layer.lacks else ""
        echo(f"{name}  {shape:>14}  {layer.pooled}{lacks}")


def _is_estimate(
    verb: str, models: list[str], dataset: str, options: dict[str, Any], as_json: bool
) -> bool:
    """Take --dry-run from the options: show estimates, and return True. Without it, warn where
    inversions are not kept.
    """
    if not options.pop("dry_run"):
        if options["out"] is None and main_process():
            echo(
                "stir-hf: inversions are not kept; --out DIR keeps them, and continues a run that"
                " was interrupted",
                err=True,
            )
        return False

    from dataclasses import asdict

    from stir_hf.api import estimate
    from stir_hf.report import estimates

    found = estimate(models, dataset, verb=verb, **_given(options))
    if main_process() and as_json:
        echo_json({"estimates": [asdict(one) for one in found]})
    elif main_process():
        echo(*estimates(found).split("\n"))
    return True


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value not in (None, ())}


def _show(result: "StirResult", out: str | None, as_json: bool) -> None:
    from stir_hf.cli.told import shown

    if not main_process():
        return
    if as_json:
        echo_json(result.to_dict())
        return
    echo(*shown(result).split("\n"))
    if out:
        echo("", f"Saved in {Path(out).resolve()}: report.html, result.json, figures, inversions")
