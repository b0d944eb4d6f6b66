"""Every command line of the pages is understood by the commands, without being run."""

import re
import shlex

import click
import pytest

from stir_hf.cli import app
from tests.conftest import ROOT

PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "spaces_demo" / "README.md",
    ROOT / "metric_card" / "stir" / "README.md",
]
TEXTS = {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in PAGES}
LINES = [
    (name, line)
    for name, text in TEXTS.items()
    for block in re.findall(r"^```\w*\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
    if line.startswith("stir-hf ")
]
MENTIONS = sorted(
    {
        (name, mention)
        for name, text in TEXTS.items()
        for mention in re.findall(r"(?<!`)`(stir-hf [a-z][^`\n]*)`", text)
    }
)
"""In the running text, where some leave out what they are given."""


@pytest.mark.parametrize(("page", "line"), LINES)
def test_every_line_is_understood(page: str, line: str) -> None:
    _, name, *words = shlex.split(re.sub(r"\$\{\w+\}", "7", line), comments=True)
    assert app.commands[name].make_context(name, words).params


@pytest.mark.parametrize(("page", "mention"), MENTIONS)
def test_every_mention_is_of_a_command_and_its_flags(page: str, mention: str) -> None:
    _, name, *words = mention.split()
    command = app.commands[name]
    params = command.get_params(click.Context(command))
    known = {flag for p in params for flag in (*p.opts, *p.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= known


def test_the_pages_have_lines() -> None:
    assert len(LINES) >= 20
    assert len(MENTIONS) >= 15
