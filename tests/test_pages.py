"""Command lines of the pages are parsed, Python blocks are run or parsed, and lines are short."""

import ast
import re
import shlex
from pathlib import Path

import click
import pytest

from stir_hf.cli import app
from tests.conftest import ROOT

PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    ROOT / "spaces_demo" / "README.md",
    ROOT / "metric_card" / "stir" / "README.md",
]
TEXTS = {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in PAGES}
LINES = [
    (name, line)
    for name, text in TEXTS.items()
    for block in re.findall(r"^```\w*\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    for line in block.replace("\\\n", " ").splitlines()
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


PYTHON = [
    (name, block)
    for name, text in TEXTS.items()
    for block in re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
]
EMBEDDED = [one for one in PYTHON if "stir_hf.demo" in one[1] or "torch.nn.Linear" in one[1]]
"""Blocks that need nothing but the package; those of the metric card have a test of their own."""
RUN = [one for one in EMBEDDED if "evaluate" not in one[1] and "Enough" not in one[1]]


@pytest.mark.parametrize(("page", "block"), PYTHON)
def test_every_block_of_python_is_parsed(page: str, block: str) -> None:
    assert ast.parse(block).body


@pytest.mark.parametrize(("page", "block"), RUN)
def test_every_block_on_embedded_networks_runs(
    page: str, block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(block, {})


@pytest.mark.parametrize("page", TEXTS)
def test_no_line_is_long(page: str) -> None:
    text = re.sub(r"^```bibtex\n.*?^```$", "", TEXTS[page], flags=re.DOTALL | re.MULTILINE)
    most = 100 if page == "README.md" else 120
    assert [line for line in text.splitlines() if len(line) > most] == []


def test_the_pages_have_lines() -> None:
    assert len(LINES) >= 20
    assert len(MENTIONS) >= 15
