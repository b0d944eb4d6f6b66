"""What the documentation says is held by tests that exist."""

import ast
import re
import runpy

import pytest

import stir_hf
from tests.conftest import ROOT
from tests.signatures import PAGE as PAGE_OF_PYTHON
from tests.signatures import written
from tests.test_architecture import RANKS

PAGE = (ROOT / "docs" / "development" / "guarantees.md").read_text("utf-8")
LINES = PAGE.split("\n- ")[1:]


@pytest.mark.parametrize("line", LINES, ids=lambda line: str(line).split("**")[1])
def test_every_line_names_its_test(line: str) -> None:
    found = re.search(r"\(`(tests/.+\.py)::(test_\w+)`\)$", line.strip())
    assert found is not None
    tree = ast.parse((ROOT / found[1]).read_text("utf-8"))
    assert found[2] in [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]


def test_the_tables_of_the_methods_are_those_of_the_figures() -> None:
    tables = runpy.run_path(str(ROOT / "benchmarks" / "tables.py"))
    page = (ROOT / "docs" / "methods.md").read_text("utf-8")
    assert tables["written"](page) == page
    assert page.count("<!-- table: ") == len(tables["TABLES"])


def test_every_room_is_described() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    table = page.partition("| room |")[2].partition("\n\n")[0]
    named = re.findall(r"`(\w+)`", "\n".join(re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)))
    rooms = {room for rooms in RANKS for room in rooms if not room.startswith("_")}
    assert sorted(named) == sorted(rooms)


def test_the_page_of_python_has_every_public_name() -> None:
    page = (ROOT / "docs" / "python.md").read_text("utf-8")
    apart = {"__version__", "similarity", "Watcher"}  # a folder of its own, a type's name
    missing = {name for name in dir(stir_hf) if not re.search(rf"\b{name}\b", page)}
    assert missing <= apart


def test_the_signatures_are_up_to_date() -> None:
    page = PAGE_OF_PYTHON.read_text("utf-8")
    assert written(page) == page
    assert "num_samples=None" in page
