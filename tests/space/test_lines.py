"""The lines that reproduce a request: the command is one of ours, the Python lines compute the
same.
"""

import shlex
from pathlib import Path
from typing import Any

import click
import pytest
from PIL import Image

from stir_hf.cli import app
from stir_hf.demo import IMAGES
from stir_hf.space import jobs
from stir_hf.space.asked import Comparison
from stir_hf.space.lines import of_comparison, of_judgement

ASKED: dict[str, Any] = {
    "embedded": {},
    "of the Hub": {"model": "lab/standard", "dataset": "lab/images@main", "split": "test"},
}
COMMIT = "c" * 40


def parsed(line: str) -> dict[str, Any]:
    """The arguments and options of a command line, by its own command; nothing is run."""
    words = shlex.split(line)
    command = app.commands[words[1]]
    context: click.Context = command.make_context(words[1], words[2:])
    return context.params


def config(*models: str) -> dict[str, Any]:
    commits = [{"model": name, "revision": COMMIT if "/" in name else None} for name in models]
    return {"models": commits, "data": [{"data_revision": COMMIT}]}


@pytest.mark.parametrize("case", ASKED)
def test_the_command_is_understood(case: str) -> None:
    asked = {"model": "standard-0", "reference": "robust-0", **ASKED[case]}
    request = Comparison(**asked, images=16, steps=10)
    lines = of_comparison(request, config(request.model, request.reference))
    found = parsed(lines["command"])
    assert (found["num_samples"], found["steps"]) == (16, 10)
    assert found["reference"] == "stir_hf/demo/models/robust-0"
    compile(lines["python"], "lines", "exec")
    if case == "embedded":
        assert found["dataset"] == "stir_hf/demo/images"
    else:
        assert (found["model"], found["dataset"]) == (
            f"lab/standard@{COMMIT}",
            f"lab/images@{COMMIT}",
        )
        assert (found["split"], found["streaming"]) == ("test", True)
        assert f"'lab/standard@{COMMIT}', model_path('robust-0')" in lines["python"]
    assert "for a clone of the package" in lines["where"]


@pytest.mark.verify
def test_the_python_lines_compute_the_same(tmp_path: Path) -> None:
    told: list[Any] = []
    request = Comparison("standard-0", "robust-0", images=16, steps=5)
    jobs.compare(request, tmp_path, told.append)
    done = told[-1]["done"]
    before, _, call = done["python"].rpartition("\n")
    names: dict[str, Any] = {}
    exec(f"{before}\nresult = {call}", names)
    again = [score.stir for score in names["result"].scores]
    assert again == pytest.approx([score["stir"] for score in done["result"]["scores"]], abs=1e-6)


def test_the_python_lines_of_uploads(tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.png" for i in range(16)]
    for i, path in enumerate(paths):
        Image.effect_noise((40, 40), 30 + 5 * i).save(path)
    uploads = tuple(str(path) for path in paths)
    request = Comparison("standard-0", "robust-0", uploads=uploads, steps=5)
    lines = of_comparison(request, config("standard-0", "robust-0"))
    before, _, _ = lines["python"].rpartition("\n")
    names: dict[str, Any] = {}
    exec(before.replace("FOLDER", str(tmp_path)), names)
    assert [image.size for image in names["images"]] == [(40, 40)] * 16
    for image in names["images"]:
        image.close()
    assert parsed(lines["command"])["dataset"] == "FOLDER"
    assert "FOLDER is where your images are" in lines["where"]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("standard-1", "stir_hf/demo/models/standard-1"),
        ("lab/x", f"lab/x@{COMMIT}"),
    ],
)
def test_a_judgement(name: str, path: str) -> None:
    lines = of_judgement(name, f"lab/x@{COMMIT}", f"lab/made@{COMMIT}")
    found = parsed(lines["command"])
    assert (found["models"], found["inversions"]) == ((path,), f"lab/made@{COMMIT}")
    compile(lines["python"], "lines", "exec")
    assert ("clone" in lines["where"]) == (name == "standard-1")
    assert Path(IMAGES).is_dir()
