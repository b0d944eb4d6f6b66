"""Commands: arguments to the verbs. Results go to stdout, everything else to stderr."""

import json
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stir_hf._version import __version__
from stir_hf.errors import RequestError, one_line

if TYPE_CHECKING:
    from stir_hf.results import StirResult

_DEBUG = "--debug"
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object and nothing else on stdout."
)
debug_option = click.option(
    _DEBUG, is_flag=True, expose_value=False, help="Show the traceback of an error."
)
dataset_option = click.option(
    "--dataset",
    required=True,
    metavar="DATA",
    help="Hub id, id@revision or local folder of images.",
)


class Verb(click.Command):
    """A command whose options are generated when it is first used, so that `--help` of the others
    loads nothing.
    """

    def __init__(
        self, *args: Any, verb: str, changed: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._verb, self._changed, self._whole = verb, changed or {}, False

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The arguments and options, the generated ones included."""
        if not self._whole:
            from stir_hf.options import click_parameters

            fixed = [p for p in self.params if p.name in ("as_json", "debug")]
            rest = [p for p in self.params if p not in fixed]
            self.params = [*rest, *click_parameters(self._verb, self._changed), *fixed]
            self._whole = True
        return super().get_params(ctx)


class Group(click.Group):
    """Commands whose summaries are shown whole."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """One line or more for each command, in the order in which they are written."""
        rows = [
            (name, command.get_short_help_str(limit=1000))
            for name, command in self.commands.items()
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


@click.group(
    cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
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
    """Compare the four embedded networks on 200 real images: standard and robust ones, every
    pair.
    """
    from stir_hf.api import matrix
    from stir_hf.demo import IMAGES, MODELS, STEPS, model_path

    models = [model_path(name) for name in MODELS]
    names = [f"{model_path(name)}={name}" for name in MODELS] + [f"{IMAGES}=fashion_mnist"]
    _show(
        matrix(models, str(IMAGES), steps=STEPS, batch_size=100, out=out, name=names), out, as_json
    )


@app.command(cls=Verb, verb="compare")
@click.argument("model")
@click.argument("reference")
@dataset_option
@json_option
@debug_option
def compare(model: str, reference: str, dataset: str, as_json: bool, **options: Any) -> None:
    """Both directions: STIR(MODEL | REFERENCE) and STIR(REFERENCE | MODEL)."""
    from stir_hf.api import compare

    _warn_unkept(options["out"])
    _show(compare(model, reference, dataset, **_given(options)), options["out"], as_json)


@app.command(cls=Verb, verb="invert", changed={"out": {"required": True}})
@click.argument("reference")
@dataset_option
@json_option
@debug_option
def invert(reference: str, dataset: str, as_json: bool, **options: Any) -> None:
    """Find for each image another one that REFERENCE represents identically, and keep the pairs."""
    from stir_hf.api import invert
    from stir_hf.report import pairs, summary

    made = invert(reference, dataset, **_given(options))
    figures = Path(options["out"]) / "figures"
    figures.mkdir(exist_ok=True)
    pairs([made]).savefig(figures / "pairs.png", dpi=130, bbox_inches="tight")
    about = summary(made)
    if as_json:
        click.echo(json.dumps(about))
        return
    rest = about["unconverged"]
    others = f", the others at {rest['median']:.3f} (median)" if rest else ""
    click.echo(
        f"{about['rows']} inversions in {made.path}: median relative error"
        f" {about['relative_error']['median']:.3f}, {about['converged']:.0%} at or below"
        f" {about['tolerance']:g}{others}; {figures / 'pairs.png'} shows some"
    )


@app.command(cls=Verb, verb="score")
@click.argument("models", nargs=-1, required=True)
@click.option(
    "--inversions",
    required=True,
    metavar="DIR",
    help="Folder that `invert`, `compare` or `matrix` wrote.",
)
@json_option
@debug_option
def score(models: tuple[str, ...], inversions: str, as_json: bool, **options: Any) -> None:
    """STIR of each MODEL on inversions that exist; the reference is not loaded."""
    from stir_hf.api import score

    _show(score(list(models), inversions, **_given(options)), None, as_json)


@app.command(cls=Verb, verb="matrix")
@click.argument("models", nargs=-1, required=True)
@dataset_option
@json_option
@debug_option
def matrix(models: tuple[str, ...], dataset: str, as_json: bool, **options: Any) -> None:
    """Every ordered pair of the MODELS, with one inversion set for each."""
    from stir_hf.api import matrix

    _warn_unkept(options["out"])
    _show(matrix(list(models), dataset, **_given(options)), options["out"], as_json)


@app.command()
@click.argument("model")
@click.option("--trust-remote-code", is_flag=True, help="Run the Python code that MODEL brings.")
@json_option
@debug_option
def layers(model: str, trust_remote_code: bool, as_json: bool) -> None:
    """List the layers of MODEL that can be read: name, shape and how each is pooled by default."""
    from dataclasses import asdict

    from stir_hf.models import load_encoder

    encoder = load_encoder(model, "output", device="cpu", trust_remote_code=trust_remote_code)
    found = [layer for layer in (encoder.penultimate, *encoder.layers) if layer is not None]
    if as_json:
        click.echo(json.dumps([asdict(layer) for layer in found]))
        return
    width = max(len(layer.name) for layer in found)
    for layer in found:
        shape = "x".join(map(str, layer.shape))
        click.echo(f"{layer.name.ljust(width)}  {shape:>14}  {layer.pooling}")


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
        f'Wrote {install_metric()}: evaluate.load("stir") finds it there when the Hub has none of'
        " that name.\nUndo it with: stir-hf install-metric --undo"
    )


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exits with 0, 1 (failed), 2 (the request is wrong) or 130
    (interrupted).
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    # Threads that spin while they wait cost 3 to 4 times the time on a busy machine. Read when
    # torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
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
        _fail(_told(error), 1)


def _told(error: Exception) -> str:
    """One line; what is no failure of ours to foresee is told with its kind."""
    from stir_hf.errors import RunError

    line = one_line(error)
    known = isinstance(error, RunError | OSError) or line == type(error).__name__
    return line if known else f"{type(error).__name__}: {line} (--debug shows where)"


def _fail(message: str, code: int) -> None:
    click.echo(f"stir-hf: {' '.join(message.split())}", err=True)
    sys.exit(code)


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value not in (None, ())}


def _warn_unkept(out: str | None) -> None:
    if out is None:
        click.echo(
            "stir-hf: inversions are not kept; --out DIR keeps them, and continues a run that was"
            " interrupted",
            err=True,
        )


def _show(result: "StirResult", out: str | None, as_json: bool) -> None:
    from stir_hf.data.sets import of_hashes
    from stir_hf.report import save_figures, table

    judged = of_hashes(Path(out), {score.inversions for score in result.scores}) if out else []
    figures = save_figures(result, judged, Path(out)) if out else []
    if as_json:
        click.echo(json.dumps(result.to_dict(), ensure_ascii=False))
        return
    click.echo(table(result))
    if out:
        names = ", ".join(str(figure.relative_to(out)) for figure in figures)
        click.echo(f"\nSaved in {Path(out).resolve()}: result.json, {names}")
