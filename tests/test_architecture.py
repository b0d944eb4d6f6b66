"""The shape of the package: which modules import which."""

import ast
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGE = ROOT / "stir_hf"
FILES = sorted(PACKAGE.rglob("*.py"))
RANKS = (
    {"errors", "_version", "demo"},
    {"registry", "launched", "expected"},
    {"runtime"},
    {"results", "engine", "similarity", "inputs", "hub", "pointers"},
    {"models", "data"},
    {"job", "scoring", "report"},
    {"publish"},
    {"options"},
    {"preparation"},
    {"finishing"},
    {"api", "targets"},
    {"cli", "metric", "space"},
    {"__init__", "__main__"},
)
"""From the bottom up. A module imports, at the top of its file, from lower ranks or from its own
folder.
"""

DELEGATIONS = {
    ("results", "plot", "report"),
    ("results", "_repr_html_", "report"),
    ("results", "save", "report"),
    ("results", "push_to_hub", "publish"),
    ("data", "push_to_hub", "publish"),
}
"""The methods on data that may go up, inside the function: (room, method, room)."""


def room(path: Path) -> str:
    """The file or folder of the package that a file belongs to."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def rank(name: str) -> int:
    (found,) = [i for i, names in enumerate(RANKS) if name in names] or [-1]
    return found


def imports(path: Path) -> list[tuple[str | None, str]]:
    """The modules that a file imports, but under TYPE_CHECKING, each with the function that
    does.
    """
    tree = ast.parse(path.read_text("utf-8"))
    found: list[tuple[str | None, str]] = []

    def visit(node: ast.AST, function: str | None) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.FunctionDef):
            function = node.name
        if isinstance(node, ast.Import):
            found.extend((function, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found.extend((function, name) for name in (node.module, *names))
        for child in ast.iter_child_nodes(node):
            visit(child, function)

    visit(tree, None)
    return found


def own_imports(path: Path) -> set[tuple[str | None, str]]:
    """The rooms of this package that a file imports from, each with the function that does."""
    own = ((function, name.split(".")) for function, name in imports(path))
    known = {name for names in RANKS for name in names}
    return {
        (f, parts[1])
        for f, parts in own
        if parts[0] == "stir_hf" and len(parts) > 1 and parts[1] in known
    }


def test_every_module_has_a_rank() -> None:
    assert [str(path) for path in FILES if rank(room(path)) < 0] == []


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_run_downward(path: Path) -> None:
    here = room(path)
    wrong = {
        (function, there)
        for function, there in own_imports(path)
        if there != here and rank(there) >= rank(here)
    }
    assert {(here, function, there) for function, there in wrong} <= DELEGATIONS


def test_the_delegations_are_no_more_than_they_say() -> None:
    assert len(DELEGATIONS) == 5
    tree = ast.parse((PACKAGE / "results/result.py").read_text("utf-8"))
    (plot,) = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == "plot"]
    assert len([n for n in plot.body if not isinstance(n, ast.Expr)]) == 2


@pytest.mark.parametrize(
    ("rooms", "forbidden"),
    [
        (
            ("similarity", "engine"),
            {"transformers", "datasets", "huggingface_hub", "evaluate", "PIL"},
        ),
        (("job", "scoring"), {"transformers", "datasets", "huggingface_hub", "PIL"}),
    ],
    ids=["tensors only", "no images"],
)
def test_what_a_room_does_not_know(rooms: tuple[str, ...], forbidden: set[str]) -> None:
    for path in (path for path in FILES if room(path) in rooms):
        roots = {name.split(".")[0] for _, name in imports(path)}
        assert not roots & forbidden, path


def test_one_room_alone_knows_accelerate() -> None:
    users = {room(p) for p in FILES if any(n.split(".")[0] == "accelerate" for _, n in imports(p))}
    assert users == {"runtime"}


def test_importing_the_package_is_cheap() -> None:
    heavy = "'torch', 'transformers', 'datasets', 'accelerate', 'matplotlib', 'pandas'"
    command = f"import sys, stir_hf; print([m for m in ({heavy}) if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", command], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there() -> None:
    package = import_module("stir_hf")
    stub = ast.parse((PACKAGE / "__init__.pyi").read_text("utf-8"))
    listed = {a.asname for n in stub.body if isinstance(n, ast.ImportFrom) for a in n.names}
    assert set(package.__all__) == set(dir(package)) == listed
    assert all(getattr(package, name) is not None for name in package.__all__)
    with pytest.raises(AttributeError, match="attribute nothing"):
        _ = package.nothing


def test_every_name_of_publishing_is_there() -> None:
    package = import_module("stir_hf.publish")
    assert all(getattr(package, name) is not None for name in package.__all__)
    assert {"push_folder", "send", "ShareConfig"} <= set(package.__all__)


ANY_KIND = ("engine/", "job/", "scoring/", "data/sets/", "data/files/", "publish/", "report/")
"""The rooms that work with inputs of any kind, and ask the kind for what is special about it."""
ABOUT_IMAGES = {
    "report/figures.py": {"image", "images"},
    "report/page.py": {"image", "images"},
    "report/board.py": {"image", "images"},
    "report/table.py": {"images"},
    "report/saved.py": {"image"},
    "report/cards/sets.py": {"images"},
    "data/files/arrays.py": {"image"},
    "data/sets/choice.py": {"images", "mode", "modes"},
    "engine/config.py": {"images"},
    "publish/cards.py": {"image"},
    "publish/config.py": {"images"},
}
"""Words of images that these rooms may use: figures, pages and texts for readers, the property
`Inversions.image`, `common_mode`, defaults in help texts, and the Hub's task
`image-feature-extraction`.
"""
OTHER_NAMES = re.compile(
    r"inference_mode|download_mode|image_column|without[_-]images|per[_ ]image"
)
"""Names of libraries, of options and of `per_image.parquet`."""


def words_of(path: Path) -> set[str]:
    """The words of images among the names and texts of a file, without docstrings."""
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(body := getattr(node, "body", None), list):
            node.body = [one for one in body if not is_text(one)]  # type: ignore[attr-defined]
    found: set[str] = set()
    for node in ast.walk(tree):
        for name in ("id", "attr", "arg", "name", "asname", "value"):
            text = getattr(node, name, None)
            if isinstance(text, str):
                plain = OTHER_NAMES.sub("", text)
                found.update(re.findall(r"(?<![a-z])(?:images?|modes?|pixels?)(?![a-z])", plain))
    return found


def is_text(node: ast.AST) -> bool:
    """Return whether a statement is only a text: a docstring."""
    value = node.value if isinstance(node, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def test_rooms_for_any_kind_of_input_have_no_words_of_images() -> None:
    names = {path: path.relative_to(PACKAGE).as_posix() for path in FILES}
    rooms = {path: name for path, name in names.items() if name.startswith(ANY_KIND)}
    found = {name: words for path, name in rooms.items() if (words := words_of(path))}
    more = {name: words - ABOUT_IMAGES.get(name, set()) for name, words in found.items()}
    assert {name: words for name, words in more.items() if words} == {}


def test_words_of_images_are_found_in_names_and_texts(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(
        '"""Docstrings may name images."""\n'
        "from x import pixels as p\n"
        "def image_of(mode, image_column):\n"
        '    """Of an image."""\n'
        "    return f'{mode.images} of a set', imaged(remodel)\n"
    )
    assert words_of(path) == {"image", "images", "mode", "pixels"}
