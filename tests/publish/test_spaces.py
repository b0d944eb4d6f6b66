"""`evaluate.load("stir")` as users meet it: from Spaces and the cache, signed in or not."""

import json
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import Any

import pytest

import stir_hf
from stir_hf.demo import IMAGES, model_path
from tests.conftest import ROOT
from tests.publish.clients import Client, Worker
from tests.stand_in_hub import StandInHub

MODELS = [model_path("standard-0"), model_path("robust-0")]
TOKENS = [pytest.param(None, id="anonymous"), pytest.param("hf_lab", id="signed in")]
PLACE = "stir-hf @ git+https://example.org/lab/stir-hf@0123456789abcdef0123456789abcdef01234567"
LOAD = """
import json, sys
import evaluate, torch
torch.set_num_threads(1)
stir = evaluate.load(sys.argv[1])
how = {"num_samples": 5, "steps": 2, "progress": False}
print(json.dumps(stir.compute(data=sys.argv[2], model=sys.argv[3], reference=sys.argv[4], **how)))
"""


@pytest.fixture(scope="module")
def space(worker: Worker, hub: StandInHub) -> dict[str, str]:
    worker.done("publish-metric", "lab/stir", "--package", PLACE)
    files = hub.repo("space", "lab/stir").at("main").files
    return {path: blob.data.decode() for path, blob in files.items()}


@pytest.fixture(scope="module")
def compared() -> stir_hf.Score:
    how: Any = {"num_samples": 5, "steps": 2, "progress": False}
    return stir_hf.compare(MODELS[0], MODELS[1], str(IMAGES), **how).scores[0]


def stir(client: Client, name: str, **more: str) -> float:
    found = client.python(LOAD, name, str(IMAGES), *MODELS, **more)
    return float(json.loads(found.splitlines()[-1])["stir"])


def test_the_space_is_whole_and_names_a_place_of_the_package(
    space: dict[str, str], worker: Worker
) -> None:
    names = {"README.md", "app.py", "requirements.txt", "stir.py", "tests.py", ".gitattributes"}
    assert set(space) == names
    assert space["requirements.txt"].splitlines()[0] == PLACE
    assert f'`pip install "{PLACE}"` first.' in space["README.md"]
    assert "pip install ." not in space["README.md"]
    assert f"# From: {PLACE.partition('@ ')[2]}" in space["stir.py"]
    again = worker.done("publish-metric", "lab/stir", "--package", PLACE)
    assert "Already there: http" in again
    for address in ("hf://spaces/lab/stir", f"{worker.hub.url}/spaces/lab/stir/"):
        told = worker.done("publish-metric", address, "--package", PLACE)
        assert told.splitlines()[-1] == 'evaluate.load("lab/stir") loads it'


def test_the_page_is_published_with_a_place_of_the_package(worker: Worker, hub: StandInHub) -> None:
    told = worker.done("publish-space", "lab/page", "--package", PLACE)
    assert "spaces/lab/page" in told
    files = hub.repo("space", "lab/page").at("main").files
    assert set(files) - {".gitattributes"} == {
        "README.md",
        "app.py",
        "requirements.txt",
        "example.json",
    }
    lines = files["requirements.txt"].data.decode().splitlines()
    assert lines[0] == PLACE
    assert not any(line.startswith(("#", "stir-hf[")) for line in lines)


def test_a_space_is_made_private_and_told_as_json(worker: Worker, hub: StandInHub) -> None:
    words = ("publish-space", "lab/closed", "--package", PLACE, "--private")
    (pushed,) = worker.json(*words)["pushed"]
    assert pushed == {"url": f"{hub.url}/spaces/lab/closed", "changed": True}
    assert hub.repo("space", "lab/closed").private
    assert worker.json(*words)["pushed"][0]["changed"] is False
    worker.done("publish-space", "lab/open", "--package", PLACE)
    assert not hub.repo("space", "lab/open").private
    line = worker.refused(2, "publish-space", "lab/open", *words[2:])
    assert "is public already" in line


@pytest.mark.verify
@pytest.mark.parametrize("token", TOKENS)
def test_from_a_published_space(
    space: dict[str, str],
    hub: StandInHub,
    compared: stir_hf.Score,
    tmp_path: Path,
    token: str | None,
) -> None:
    client = Client(hub, tmp_path, token)
    assert stir(client, "lab/stir") == pytest.approx(compared.stir, abs=1e-6)
    if token is None:  # and then from its cache
        before = len(hub.seen)
        found = stir(client, "lab/stir", HF_EVALUATE_OFFLINE="1", HF_HUB_OFFLINE="1")
        assert found == pytest.approx(compared.stir, abs=1e-6)
        assert len(hub.seen) == before


@pytest.mark.verify
@pytest.mark.parametrize("token", TOKENS)
def test_the_bare_name_without_a_canonical_space(
    hub: StandInHub, compared: stir_hf.Score, tmp_path: Path, token: str | None
) -> None:
    client = Client(hub, tmp_path, token)
    client.done("install-metric")
    assert stir(client, "stir") == pytest.approx(compared.stir, abs=1e-6)


@pytest.mark.verify
@pytest.mark.parametrize("token", ["hf_lab", None], ids=["signed in", "anonymous"])
def test_the_bare_name_from_a_canonical_space(
    space: dict[str, str],
    hub: StandInHub,
    compared: stir_hf.Score,
    tmp_path: Path,
    token: str | None,
) -> None:
    files = {path: text.encode() for path, text in space.items()}
    hub.add("space", "evaluate-metric/stir", files)
    try:
        found = stir(Client(hub, tmp_path, token), "stir")
        assert found == pytest.approx(compared.stir, abs=1e-6)
        assert any("/spaces/evaluate-metric/stir/resolve/main/stir.py" in one for one in hub.seen)
    finally:
        del hub.repos["space", "evaluate-metric/stir"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("lab/other", "--package", PLACE), "is no name for it"),
        (("other/stir", "--package", PLACE), "may not write there"),
        (("lab/stir", "--package", "stir-hf"), "is not it; expected"),
        (("lab/stir", "--package", "numpy @ https://example.org/n.whl"), "is not it; expected"),
        (("lab/stir", "--package", "!"), "cannot be read"),
    ],
)
def test_what_cannot_be_published_is_told(
    worker: Worker, words: tuple[str, ...], told: str
) -> None:
    assert told in worker.refused(2, "publish-metric", *words)


@pytest.mark.verify
def test_the_requirements_of_the_space_install(
    worker: Worker, hub: StandInHub, tmp_path: Path
) -> None:
    """The wheel of this checkout in the place of the repository."""
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "-q", "-w", str(tmp_path), str(ROOT)]
    subprocess.run(pip, check=True)
    (wheel,) = tmp_path.glob("stir_hf-*.whl")
    worker.done("publish-metric", "lab/stir", "--package", f"stir-hf @ {wheel.as_uri()}")
    text = hub.repo("space", "lab/stir").at("main").files["requirements.txt"].data
    (tmp_path / "requirements.txt").write_bytes(text)
    home = tmp_path / "env"
    venv.create(home, with_pip=True)
    (site,) = home.glob("lib/python*/site-packages")
    (site / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")  # what it depends on
    python = str(home / "bin" / "python")
    install = [python, "-m", "pip", "install", "-q", "--no-deps", "-r"]
    subprocess.run([*install, str(tmp_path / "requirements.txt")], check=True)
    code = "import stir_hf, importlib.metadata as m; print(stir_hf.__file__, m.version('gradio'))"
    how: Any = {"capture_output": True, "text": True, "cwd": tmp_path}
    shown = subprocess.run([python, "-c", code], check=True, **how).stdout
    assert shown.startswith(str(home))
