"""Commands that publish to the Hub, read from there or install the `evaluate` module."""

import os
import runpy
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stir_hf.cli.app import Verb, app, common_options, debug_option, example, together
from stir_hf.cli.streams import echo, echo_json
from stir_hf.errors import RequestError

if TYPE_CHECKING:
    from stir_hf.publish.repo import Pushed


@app.command(cls=Verb, epilog=example("stir-hf push run --to me/inversions"))
@click.argument("folder", metavar="DIR")
@click.option(
    "--to",
    required=True,
    metavar="NAMESPACE/NAME",
    help="Dataset repo; created if it does not exist.",
)
@click.option("--scores-only", is_flag=True, help="Publish the scores without the inversions.")
@click.option(
    "--eval-results",
    is_flag=True,
    help="Also propose each score to the judged model's repo (a pull request on .eval_results).",
)
@click.option(
    "--model-index",
    is_flag=True,
    help="Also write each score into the judged model's card, in the older form.",
)
@common_options
def push(folder: str, to: str, as_json: bool, **how: Any) -> None:
    """Publish the finished inversions, the scores and the figures in DIR on the Hub."""
    from stir_hf.publish import ShareConfig, push_all

    steps = {name: how.pop(name) for name in ("scores_only", "eval_results", "model_index")}
    share = ShareConfig(**{name: value for name, value in how.items() if value is not None})
    _show(push_all(Path(folder).expanduser(), to, share, say=_echo, **steps), as_json)


@app.command(epilog=example("stir-hf leaderboard me/inversions"))
@click.argument("repo", metavar="NAMESPACE/NAME")
@common_options
def leaderboard(repo: str, as_json: bool) -> None:
    """List the models judged on a repo's inversions: one table for each set, layer, measure and
    number of samples.
    """
    from stir_hf.publish.boards.leaderboard import collect
    from stir_hf.report.board import boards_text

    found = collect(repo)
    if as_json:
        echo_json(found.to_dict())
    else:
        echo(*boards_text(found.boards).split("\n"))


@app.command("install-metric", epilog=example("stir-hf install-metric"))
@click.option("--undo", is_flag=True, help="Remove it again.")
@common_options
def install_metric(undo: bool, as_json: bool) -> None:
    """Let evaluate.load("stir") find the metric in evaluate's cache, offline too."""
    from stir_hf.publish.spaces.space import install_metric, uninstall_metric

    folder = str(uninstall_metric() if undo else install_metric())
    if as_json:
        echo_json({"removed" if undo else "installed": folder})
    elif undo:
        echo(f"Removed {folder}")
    else:
        echo(
            f'Wrote {folder}: evaluate.load("stir") finds it there when the Hub has none of that'
            " name.",
            "Undo it with: stir-hf install-metric --undo",
        )


space_options = together(
    click.option(
        "--package",
        metavar="REQUIREMENT",
        help="What pip installs; default: the repository of this installation at its commit.",
    ),
    click.option("--private", is_flag=True, help="Make the Space private."),
    click.option("--create-pr", is_flag=True, help="Open a pull request instead of committing."),
    common_options,
)


@app.command("publish-metric", epilog=example("stir-hf publish-metric me/stir"))
@click.argument("repo", metavar="NAMESPACE/stir")
@space_options
def publish_metric(repo: str, as_json: bool, **how: Any) -> None:
    """Create or update the Space from which evaluate.load("NAMESPACE/stir") loads the metric."""
    from stir_hf.publish.spaces.space import METRIC

    pushed = METRIC.publish(repo, **how)
    _show([pushed], as_json)
    if not how["create_pr"] and not as_json:
        echo(f'evaluate.load("{pushed.url.rpartition("/spaces/")[2]}") loads it')


@app.command("publish-space", epilog=example("stir-hf publish-space me/stir-page"))
@click.argument("repo", metavar="NAMESPACE/NAME")
@space_options
def publish_space(repo: str, as_json: bool, **how: Any) -> None:
    """Create or update a Space that compares two checkpoints in a browser."""
    from stir_hf.publish.spaces.space import PAGE

    _show([PAGE.publish(repo, **how)], as_json)


@app.command(epilog=example("stir-hf space --port 7860"))
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=7860,
    show_default=True,
    envvar="GRADIO_SERVER_PORT",
    metavar="N",
    help="Port on this machine; if it is in use, the next free one.",
)
@debug_option
def space(port: int) -> None:
    """Serve the page that compares two checkpoints in a browser, on this machine."""
    from stir_hf.publish.spaces.space import PAGE

    app_file = PAGE.folder() / "app.py"
    if find_spec("gradio") is None:
        raise RequestError(
            'the page needs gradio: pip install ".[space]" in a clone of stir-hf\'s repository, or'
            ' pip install "gradio[mcp,oauth]" where stir-hf is installed'
        )
    os.environ["GRADIO_SERVER_PORT"] = str(port)
    runpy.run_path(str(app_file), run_name="__main__")  # what its processes import, too


def _show(pushed: "Sequence[Pushed]", as_json: bool) -> None:
    """Print a sentence for each repo, or one JSON object."""
    if as_json:
        echo_json({"pushed": [{"url": one.url, "changed": one.changed} for one in pushed]})
        return
    for one in pushed:
        echo(f"{str(one)[:1].upper()}{str(one)[1:]}")


def _echo(line: str) -> None:
    echo(f"stir-hf: {line}", err=True)
