"""The command group, and options that several commands have."""

import os

import click

from stir_hf._version import __version__

DEBUG = "--debug"
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object and nothing else on stdout."
)
dry_run_option = click.option(
    "--dry-run",
    is_flag=True,
    help="Time a few passes, say what the whole would take, and do no more.",
)
debug_option = click.option(
    DEBUG, is_flag=True, expose_value=False, help="Show the traceback of an error."
)


def main_process() -> bool:
    """Whether this is the process that talks, of those that a launcher has started."""
    return os.environ.get("RANK", "0") == "0"


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
