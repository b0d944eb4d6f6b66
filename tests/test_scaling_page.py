"""The command lines of docs/scaling.md are parsed by the programs that they call."""

import re
import shlex
from typing import Any

import click
import pytest
from accelerate.commands.launch import launch_command_parser
from torch.distributed.run import get_args_parser

from stir_hf.cli import app
from stir_hf.publish.spaces.requirement import checked
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "scaling.md").read_text("utf-8")
BLOCKS = [
    text
    for language, text in re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    if language in ("", "bash")
]
LINES = [
    re.sub(r"\$\{\w+\}", "7", line)
    for block in BLOCKS
    for line in block.replace("\\\n", " ").splitlines()
    if line and not line.startswith("#")
]


def ours(words: list[str]) -> None:
    """The rest of a line, as stir-hf takes it."""
    name, *rest = words
    assert app.commands[name].make_context(name, rest).params


@pytest.mark.parametrize("line", LINES)
def test_every_line_is_understood(line: str) -> None:
    program, *words = shlex.split(line)
    if program == "stir-hf":
        ours(words)
    elif program == "torchrun":
        given = get_args_parser().parse_args(words)
        assert (given.module, given.training_script) == (True, "stir_hf")
        ours(given.training_script_args)
    elif program == "accelerate":
        assert words[0] == "launch"
        given = launch_command_parser().parse_args(words[1:])
        assert (given.module, given.training_script) == (True, "stir_hf")
        ours(given.training_script_args)
    else:
        assert program == "hf"
        jobs(words)


def jobs(words: list[str]) -> None:
    """`hf jobs uv run`, as huggingface_hub's command line takes it, up to what it starts."""
    from huggingface_hub.cli.hf import app as hub_app
    from typer.main import get_command

    command: Any = hub_app
    if not isinstance(command, click.Group):  # typer's
        command = get_command(command)
    end = words.index("--")
    context = click.Context(command)
    for word in words[:3]:
        found = command.get_command(context, word)
        assert found is not None, word
        command = found
    parsed = command.make_context("run", [*words[3:end], "stir-hf"], resilient_parsing=True)
    assert parsed.params["flavor"]
    (package,) = parsed.params["with_"]
    assert checked(package) == package  # never the name alone, which is open to squatters
    assert words[end + 1] == "stir-hf"
    ours(words[end + 2 :])


def test_the_page_has_lines() -> None:
    assert len(LINES) >= 9
