"""The words of the package: docstrings that name a thing or begin with a verb, lines that fit."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGE = ROOT / "stir_hf"
QUESTIONS = re.compile(r"(What|Whether|Of|So|Where|Which|How)\b")
"""First words of docstrings that neither name a thing nor say what is done."""
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def docstrings(path: Path) -> Iterator[tuple[int, str]]:
    """Docstrings of a file, also those that follow a field or a constant, each with its line."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        body = getattr(node, "body", None)
        for child in body if isinstance(body, list) else []:
            value = child.value if isinstance(child, ast.Expr) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield child.lineno, value.value


def test_docstrings_are_found_wherever_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(
        '"""Of a module."""\nX = 1\n"""What X is."""\n'
        'class A:\n    """So a class."""\n    x: int\n    """Where x is."""\n'
        '    def f(self) -> None:\n        """How it is."""\n        if X:\n            "Whether"\n'
    )
    assert sorted(line for line, _ in docstrings(path)) == [1, 3, 5, 7, 9, 11]


def test_docstrings_name_a_thing_or_begin_with_a_verb() -> None:
    """A few may be the best that can be said."""
    found = [
        f"{path.relative_to(ROOT)}:{line} {text.splitlines()[0]}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for line, text in docstrings(path)
        if QUESTIONS.match(text)
    ]
    assert len(found) < 30, "\n".join(found)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_lines_of_pages_fit_a_screen(page: Path) -> None:
    """A row of a table, a picture or a bare address is one line, however long."""
    lines = enumerate(page.read_text("utf-8").splitlines(), 1)
    long = [
        n for n, line in lines if len(line) > 120 and not re.match(r"\s*(\||!?\[|<|author )", line)
    ]
    assert long == []
