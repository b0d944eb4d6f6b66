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
BLOCKS = re.DOTALL | re.MULTILINE
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
RUN = [
    (name, block)
    for name, block in EMBEDDED
    if name != "README.md" and "evaluate" not in block and "Enough" not in block
]


@pytest.mark.parametrize(("page", "block"), PYTHON)
def test_every_block_of_python_is_parsed(page: str, block: str) -> None:
    assert ast.parse(block).body


@pytest.mark.verify
@pytest.mark.parametrize(("page", "block"), RUN)
def test_every_block_on_embedded_networks_runs(
    page: str, block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(block, {})


@pytest.mark.verify
def test_the_first_block_prints_what_the_readme_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    found = re.search(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```$", TEXTS["README.md"], BLOCKS)
    assert found is not None
    assert len([line for line in found[1].splitlines() if line]) <= 8
    exec(found[1], {})
    printed, shown = capsys.readouterr().out, found[2]
    number = re.compile(r"\d\.\d\d")
    assert number.sub("", printed) == number.sub("", shown)
    pairs = zip(number.findall(printed), number.findall(shown), strict=True)
    assert all(abs(float(a) - float(b)) < 0.03 for a, b in pairs)


def test_the_readme_is_short_and_begins_with_its_picture() -> None:
    lines = TEXTS["README.md"].splitlines()
    assert len(lines) <= 130
    (picture,) = [i for i, line in enumerate(lines) if line.startswith("![")]
    (block,) = [i for i, line in enumerate(lines) if "stir_hf.compare(standard" in line]
    assert picture < 14
    assert block < 39
    assert (ROOT / "docs" / "images" / "pairs.png").stat().st_size < 200_000


@pytest.mark.parametrize("page", TEXTS)
def test_no_line_is_long(page: str) -> None:
    text = re.sub(r"^```bibtex\n.*?^```$", "", TEXTS[page], flags=re.DOTALL | re.MULTILINE)
    most = 100 if page == "README.md" else 120
    assert [line for line in text.splitlines() if len(line) > most] == []


def test_the_pages_have_lines() -> None:
    assert len(LINES) >= 20
    assert len(MENTIONS) >= 15
