"""The command group, and the options that several commands share."""

from collections.abc import Callable
from functools import reduce
from typing import Any

import click

from stir_hf._version import __version__
from stir_hf.launched import launch_of_this

DEBUG = "--debug"
ORDER = (
    "demo",
    "compare",
    "invert",
    "score",
    "matrix",
    "layers",
    "merge",
    "push",
    "leaderboard",
    "install-metric",
    "publish-metric",
    "publish-space",
    "space",
)
"""The commands as `--help` lists them."""
MODEL = "A MODEL is a Hub id, id@revision or a local folder"
EXIT_CODES = """\b
Exit codes:
  0    done
  1    it failed while running
  2    the request is wrong; nothing was done
  130  interrupted; the same command continues where --out was given
"""
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object and nothing else on stdout."
)
debug_option = click.option(
    DEBUG, is_flag=True, expose_value=False, help="Show the traceback of an error."
)


def together(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Join several options, in the order of the help, into one decorator."""
    return lambda command: reduce(lambda made, option: option(made), reversed(options), command)


common_options = together(json_option, debug_option)


class Verb(click.Command):
    """A command whose options are generated at its first use; `--help` of others loads nothing."""

    _whole = False

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the arguments and options, the generated ones included."""
        if not self._whole:
            from stir_hf.options.flags import click_parameters

            *own, as_json, debug = self.params
            self.params = [*own, *click_parameters(str(self.name)), as_json, debug]
            self._whole = True
        return super().get_params(ctx)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments, with a hint at the option that is meant by one of another verb."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            from stir_hf.options.verbs import ELSEWHERE

            hint = ELSEWHERE.get(error.option_name.removeprefix("--").replace("-", "_"))
            if hint is None:
                raise
            raise click.UsageError(f"No such option: {error.option_name}; {hint}", ctx) from error

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options under headings, those of the command itself last."""
        from stir_hf.options.verbs import sections

        params = {p.name: p for p in self.get_params(ctx) if isinstance(p, click.Option)}
        groups = sections(str(self.name))
        if "Data" in groups:
            first = [name for name in ("dataset", "inversions") if name in params]
            groups["Data"] = [*first, *groups["Data"]]
        grouped = {name for names in groups.values() for name in names}
        groups["Options"] = [str(name) for name in params if name not in grouped]
        for title, names in groups.items():
            records = (params[name].get_help_record(ctx) for name in names)
            with formatter.section(title):
                formatter.write_dl([record for record in records if record])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command here, or start the processes that were asked for."""
        count = ctx.params.get("num_processes") or 1
        launched = launch_of_this()
        if launched is not None and (launched.size > 1 or count == 1):
            from stir_hf.runtime import end_with_launcher

            end_with_launcher()
        elif count > 1:
            from stir_hf.runtime import launch

            ctx.exit(launch(ctx.find_root().obj, count))
        return super().invoke(ctx)


class Group(click.Group):
    """Commands in a fixed order, with summaries that are not cut."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the commands in the order in which a reader meets them."""
        return sorted(self.commands, key=ORDER.index)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the name and the summary of each command."""
        rows = [
            (name, self.commands[name].get_short_help_str(limit=1000))
            for name in self.list_commands(ctx)
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def example(line: str, *before: str) -> str:
    """Return the end of a command's help: notes on its arguments, and an example."""
    return "\n\n".join([*(f"{text}." for text in before), f"\b\nExample:\n  {line}"])


@click.group(
    cls=Group,
    epilog=EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="stir-hf")
def app() -> None:
    """STIR: does this model ignore what that model ignores?

    A MODEL is a Hub id, id@revision or a local folder. Each command has an example in its --help.
    """
