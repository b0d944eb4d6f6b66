"""The shape of the package: who imports whom, and how large a file may be."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGE = ROOT / "stir_hf"
FILES = sorted(p for p in PACKAGE.rglob("*.py") if "demo" not in p.parts[len(ROOT.parts) : -1])
TOP = {"api", "scoring", "job", "report", "publish", "cli", "metric"}
MIDDLE = {"models", "data"}
BOTTOM = {"errors", "runtime", "results", "similarity", "engine", "inputs", "hub"}
DELEGATIONS = {("results", "report")}
"""Convenience methods on data: one line that imports when it is called."""


def part(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(path: Path) -> set[str]:
    """The modules that a file imports, anywhere but under TYPE_CHECKING, as dotted names."""
    tree = ast.parse(path.read_text("utf-8"))
    typing = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
    ]
    skipped = {id(inner) for node in typing for inner in ast.walk(node)}
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def own_imports(path: Path) -> set[str]:
    """The parts of this package that a file imports."""
    return {name.split(".")[1] for name in imports(path) if name.startswith("stir_hf.")}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_run_downward(path: Path) -> None:
    name = part(path)
    above = (
        {"engine", "similarity"} & BOTTOM - {name} if name in {"engine", "similarity"} else set()
    )
    if name in BOTTOM:
        above |= TOP | MIDDLE
    elif name in MIDDLE:
        above = TOP
    upward = own_imports(path) & above
    assert {(name, other) for other in upward} <= DELEGATIONS


def test_every_part_is_there() -> None:
    assert {part(path) for path in FILES} >= BOTTOM | MIDDLE | {"api", "scoring"}


@pytest.mark.parametrize("folder", ["similarity", "engine"])
def test_the_mathematics_knows_tensors_only(folder: str) -> None:
    for path in (PACKAGE / folder).glob("*.py"):
        roots = {name.split(".")[0] for name in imports(path)}
        assert not roots & {
            "transformers",
            "datasets",
            "huggingface_hub",
            "accelerate",
            "evaluate",
            "PIL",
        }, path


def test_only_the_main_job_uses_accelerate() -> None:
    users = {
        part(path)
        for path in FILES
        if any(name.split(".")[0] == "accelerate" for name in imports(path))
    }
    assert users <= {"api", "runtime"}


def test_importing_the_package_is_cheap() -> None:
    heavy = "'torch', 'transformers', 'datasets', 'accelerate', 'matplotlib', 'pandas'"
    command = f"import sys, stir_hf; print([m for m in ({heavy}) if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", command], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there() -> None:
    import stir_hf

    assert all(getattr(stir_hf, name) is not None for name in stir_hf.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = stir_hf.nothing


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_are_short(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) < 400
