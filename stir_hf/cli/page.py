"""The page of the documentation on the command line: `python -m stir_hf.cli.page > docs/cli.md`."""

import sys
from collections.abc import Iterator

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
    return "\n".join(
        [HEADING, *_block(group), *(line for c in ORDER for line in _section(c, group))]
    )


def _section(name: str, group: click.Context) -> Iterator[str]:
    """The help of one command under a heading."""
    yield f"## stir-hf {name}\n"
    yield from _block(click.Context(app.commands[name], parent=group, info_name=name))


def _block(context: click.Context) -> Iterator[str]:
    """The help of a command as a block of text."""
    text = context.get_help()
    yield from ("```text", *(line.rstrip() for line in text.splitlines()), "```\n")


if __name__ == "__main__":
    sys.stdout.write(page())
