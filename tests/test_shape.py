"""The size of files, functions and folders of the package."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import ROOT

PACKAGE = ROOT / "stir_hf"
FILES = sorted(PACKAGE.rglob("*.py"))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def bodies(text: str) -> Iterator[tuple[str, int]]:
    """Functions, each with the number of lines of its body without the docstring."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            lines = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
            yield node.name, lines


def test_the_body_of_a_function_is_counted_without_its_docstring() -> None:
    text = 'def f(\n    x,\n):\n    """A\n    docstring."""\n    (\n        x\n    )\n    pass\n'
    assert list(bodies(text)) == [("f", 4)]
    assert list(bodies('def f():\n    """Only a docstring."""\n')) == [("f", 0)]


def test_files_are_short() -> None:
    lines = {name(path): len(path.read_text("utf-8").splitlines()) for path in FILES}
    assert {path: count for path, count in lines.items() if count > 300} == {}


def test_functions_are_short() -> None:
    counted = ((name(p), *body) for p in FILES for body in bodies(p.read_text("utf-8")))
    assert [found for found in counted if found[2] > 40] == []


def test_folders_hold_few_files() -> None:
    """`__init__.py` only lists the names of the others."""
    files = {name(path.parent): 0 for path in FILES}
    for path in FILES:
        files[name(path.parent)] += path.name != "__init__.py"
    assert {folder: count for folder, count in files.items() if count > 12} == {}
