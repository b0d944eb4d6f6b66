"""The page of the documentation on the command line: `python -m stir_hf.cli.page > docs/cli.md`."""

import sys

import click

from stir_hf.cli import app
from stir_hf.cli.app import ORDER

WIDTH = 96
HEADING = """\
# Command line

Every command with its usage and its options, as `stir-hf COMMAND --help` prints them.
`python -m stir_hf.cli.page` writes this page. [Options](options.md) lists the options of all
commands with the methods, starts and measures that they name.
"""


def page() -> str:
    """Return the help of every command as Markdown."""
    settings = {**app.context_settings, "terminal_width": WIDTH, "max_content_width": WIDTH}
    group = click.Context(app, info_name="stir-hf", **settings)
    parts = [HEADING, _block(group)]
    for name in ORDER:
        context = click.Context(app.commands[name], parent=group, info_name=name)
        parts += [f"## {context.command_path}\n", _block(context)]
    return "\n".join(parts)


def _block(context: click.Context) -> str:
    """The help of a command as a block of text."""
    lines = (line.rstrip() for line in context.get_help().splitlines())
    return "\n".join(["```text", *lines, "```\n"])


if __name__ == "__main__":
    sys.stdout.write(page())
