"""Arguments to the functions behind them. Results go to stdout, everything else to stderr."""

import json
import logging
import os
import sys
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from stir_hf._version import __version__
from stir_hf.errors import RequestError, one_line

if TYPE_CHECKING:
    from stir_hf.results import StirResult

Command = TypeVar("Command", bound=Callable[..., Any])
_DEBUG = "--debug"


def _options(*options: Callable[[Any], Any]) -> Callable[[Command], Command]:
    return lambda command: reduce(lambda c, option: option(c), reversed(options), command)


data_options = _options(
    click.option(
        "--dataset", required=True, metavar="DATA", help="Hub id or local folder of images."
    ),
    click.option("--config-name", metavar="NAME", help="Configuration of the dataset."),
    click.option(
        "--split", metavar="NAME", help="Split; default: test, validation or the only one."
    ),
    click.option(
        "--image-column",
        metavar="NAME",
        help="Column of images; default: the only one of type Image.",
    ),
    click.option("--image-mode", metavar="MODE", help="RGB or L; default: what the models take."),
    click.option("--num-samples", type=int, metavar="N", help="How many images; default: all."),
)
inversion_options = _options(
    click.option(
        "--method",
        metavar="NAME",
        help="adam-polyak (default, fast) or paper (the original's rule).",
    ),
    click.option(
        "--steps", type=int, metavar="N", help="Most passes per image; default 500, paper 1000."
    ),
    click.option(
        "--tolerance",
        type=float,
        metavar="R",
        help="Relative error at which an image counts; default 0.02.",
    ),
    click.option(
        "--start",
        metavar="KIND",
        help="noise (default), uniform, grey, noise-same, uniform-same, white, black.",
    ),
    click.option("--draws", type=int, metavar="K", help="Inversions per image; default 1."),
    click.option("--seed", type=int, metavar="N", help="Seed of the start images; default 0."),
    click.option(
        "--exact/--png", default=None, help="Keep inversions as floats, or as 8-bit PNG (default)."
    ),
)
run_options = _options(
    click.option(
        "--batch-size",
        type=int,
        metavar="N",
        help="Images per batch; default 32. Does not change a score.",
    ),
    click.option(
        "--device", metavar="NAME", help="cpu, cuda, cuda:1, mps, …; default: the best there is."
    ),
    click.option(
        "--dtype", metavar="NAME", help="float32 (default), float64, bfloat16 or float16."
    ),
)
layer_option = click.option(
    "--layer",
    metavar="NAME",
    help="penultimate (default), logits, hidden_states[i] or a module; :mean, :max, :cls, :flatten.",
)
measure_option = click.option(
    "--measure",
    default="linear_cka",
    show_default=True,
    metavar="NAME",
    help="Similarity; its debiased form is always shown.",
)
out_option = click.option(
    "--out",
    metavar="DIR",
    help="Folder for result.json, figures and inversions; the same command continues there.",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object and nothing else on stdout."
)
debug_option = click.option(
    _DEBUG, is_flag=True, expose_value=False, help="Show the traceback of an error."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="stir-hf")
def app() -> None:
    """STIR: does this model ignore what that model ignores?

    A MODEL is a Hub id, id@revision or a local folder.
    """


@app.command()
@click.option(
    "--out",
    metavar="DIR",
    default="stir-hf-demo",
    show_default=True,
    help="Folder for pictures and result.json.",
)
@json_option
@debug_option
def demo(out: str, as_json: bool) -> None:
    """Compare the four embedded networks on 200 real images: standard and robust ones, every pair."""
    from stir_hf.api import matrix
    from stir_hf.demo import IMAGES, MODELS, STEPS, model_path

    _show(
        matrix([model_path(m) for m in MODELS], str(IMAGES), steps=STEPS, batch_size=100, out=out),
        out,
        as_json,
    )


@app.command()
@click.argument("model")
@click.argument("reference")
@data_options
@layer_option
@click.option("--reference-layer", metavar="NAME", help="Layer of the reference, as --layer.")
@inversion_options
@run_options
@measure_option
@out_option
@json_option
@debug_option
def compare(
    model: str, reference: str, dataset: str, as_json: bool, out: str | None, **options: Any
) -> None:
    """Both directions: STIR(MODEL | REFERENCE) and STIR(REFERENCE | MODEL)."""
    from stir_hf.api import compare

    _warn_unkept(out)
    _show(compare(model, reference, dataset, out=out, **_given(options)), out, as_json)


@app.command()
@click.argument("reference")
@data_options
@layer_option
@inversion_options
@run_options
@click.option(
    "--out",
    metavar="DIR",
    required=True,
    help="Folder for the inversions; the same command continues there.",
)
@json_option
@debug_option
def invert(reference: str, dataset: str, as_json: bool, out: str, **options: Any) -> None:
    """Find for each image another one that REFERENCE represents identically, and keep the pairs."""
    import numpy as np

    from stir_hf.api import invert
    from stir_hf.report.figures import pairs

    made = invert(reference, dataset, out=out, **_given(options))
    figures = Path(out) / "figures"
    figures.mkdir(exist_ok=True)
    pairs([made]).savefig(figures / "pairs.png", dpi=130, bbox_inches="tight")
    error = made.relative_error
    tolerance = made.recipe["inversion"]["tolerance"]
    summary = {
        "inversions": str(made.path),
        "num_samples": len(np.unique(made.index)),
        "rows": len(made),
        "relative_error": {
            "median": float(np.median(error)),
            "mean": float(error.mean()),
            "p95": float(np.quantile(error, 0.95)),
        },
        "converged": float((error <= tolerance).mean()),
        "config": made.recipe,
    }
    if as_json:
        click.echo(json.dumps(summary))
    else:
        click.echo(
            f"{len(made)} inversions in {made.path}: median relative error {np.median(error):.3f}, "
            f"{summary['converged']:.0%} at or below {tolerance:g}; {figures / 'pairs.png'} shows some"
        )


@app.command()
@click.argument("models", nargs=-1, required=True)
@click.option(
    "--inversions",
    required=True,
    metavar="DIR",
    help="Folder that `invert`, `compare` or `matrix` wrote.",
)
@layer_option
@run_options
@measure_option
@out_option
@json_option
@debug_option
def score(
    models: tuple[str, ...], inversions: str, as_json: bool, out: str | None, **options: Any
) -> None:
    """STIR of each MODEL on inversions that exist; the reference is not loaded."""
    from stir_hf.api import score

    _show(score(list(models), inversions, out=out, **_given(options)), None, as_json)


@app.command()
@click.argument("models", nargs=-1, required=True)
@data_options
@layer_option
@inversion_options
@run_options
@measure_option
@out_option
@json_option
@debug_option
def matrix(
    models: tuple[str, ...], dataset: str, as_json: bool, out: str | None, **options: Any
) -> None:
    """Every ordered pair of the MODELS, with one inversion set for each."""
    from stir_hf.api import matrix

    _warn_unkept(out)
    _show(matrix(list(models), dataset, out=out, **_given(options)), out, as_json)


@app.command()
@click.argument("model")
@json_option
@debug_option
def layers(model: str, as_json: bool) -> None:
    """List the layers of MODEL that can be read: name, shape and how each is pooled by default."""
    from dataclasses import asdict

    from stir_hf.models.encoder import load_encoder

    encoder = load_encoder(model, "output", device="cpu")
    found = [layer for layer in (encoder.penultimate, *encoder.layers) if layer is not None]
    if as_json:
        click.echo(json.dumps([asdict(layer) for layer in found]))
        return
    width = max(len(layer.name) for layer in found)
    for layer in found:
        click.echo(
            f"{layer.name.ljust(width)}  {'x'.join(map(str, layer.shape)):>14}  {layer.pooling}"
        )


@app.command("install-metric")
@click.option("--undo", is_flag=True, help="Take it out again.")
@debug_option
def install_metric(undo: bool) -> None:
    """Let evaluate.load("stir") find the metric in evaluate's cache, offline too."""
    from stir_hf.publish.metric_space import install_metric, uninstall_metric

    if undo:
        click.echo(f"Removed {uninstall_metric()}")
        return
    click.echo(
        f'Wrote {install_metric()}: evaluate.load("stir") finds it there when the Hub has none of that name.\n'
        "Undo it with: stir-hf install-metric --undo"
    )


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exits with 0, 1 (failed), 2 (the request is wrong) or 130 (interrupted)."""
    arguments = sys.argv[1:] if arguments is None else arguments
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    debug = _DEBUG in arguments
    try:
        app.main(arguments or ["--help"], prog_name="stir-hf", standalone_mode=False)
    except (KeyboardInterrupt, click.Abort):
        _fail("interrupted; the same command with --out continues", 130)
    except (click.UsageError, RequestError) as error:
        if debug:
            raise
        _fail(error.format_message() if isinstance(error, click.UsageError) else str(error), 2)
    except Exception as error:  # one line for whatever a run can meet; --debug shows the rest
        if debug:
            raise
        _fail(one_line(error), 1)


def _fail(message: str, code: int) -> None:
    click.echo(f"stir-hf: {' '.join(message.split())}", err=True)
    sys.exit(code)


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _warn_unkept(out: str | None) -> None:
    if out is None:
        click.echo(
            "stir-hf: inversions are not kept; --out DIR keeps them, and continues a run that was interrupted",
            err=True,
        )


def _show(result: "StirResult", out: str | None, as_json: bool) -> None:
    from stir_hf.data.inversions import Inversions
    from stir_hf.report.figures import save_figures
    from stir_hf.report.table import table

    figures = save_figures(result, Inversions.load_all(out), Path(out)) if out else []
    if as_json:
        click.echo(json.dumps(result.to_dict(), ensure_ascii=False))
        return
    click.echo(table(result))
    if out:
        click.echo(
            f"\nSaved in {Path(out).resolve()}: result.json, {', '.join(str(f.relative_to(out)) for f in figures)}"
        )
