"""Where this installation came from, as it is told to those who are to install the same."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from stir_hf.errors import RequestError
from stir_hf.publish.spaces import requirement as module
from stir_hf.publish.spaces import space as module_of_space
from stir_hf.publish.spaces.requirement import EXAMPLE, PACKAGE, repository, requirement
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "hub.md").read_text("utf-8")
ADDRESS = "https://example.org/lab/stir-hf.git"


@dataclass(frozen=True)
class Installed:
    """An installation that says where it came from."""

    about: dict[str, object]

    def read_text(self, name: str) -> str:
        assert name == "direct_url.json"
        return json.dumps(self.about)


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@b.example")
    command = ["git", "-C", str(folder), *who, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone of a repository that holds this package; its remote has the commit."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE, tmp_path / "clone" / PACKAGE.name, ignore=ignored)
    git(tmp_path / "clone", "init", "-q")
    git(tmp_path / "clone", "add", "-A")
    git(tmp_path / "clone", "commit", "-qm", "all")
    git(tmp_path / "clone", "remote", "add", "origin", ADDRESS)
    git(tmp_path / "clone", "update-ref", "refs/remotes/origin/main", "HEAD")
    return tmp_path / "clone"


def install(monkeypatch: pytest.MonkeyPatch, folder: Path, **how: object) -> None:
    about: dict[str, object] = {"dir_info": how, "url": folder.as_uri()}
    monkeypatch.setattr(module, "distribution", lambda _: Installed(about))


@pytest.mark.parametrize("how", [{}, {"editable": True}], ids=["plain", "editable"])
def test_a_clone_whose_commit_the_remote_has(
    clone: Path, monkeypatch: pytest.MonkeyPatch, how: dict[str, object]
) -> None:
    install(monkeypatch, clone, **how)
    commit = git(clone, "rev-parse", "HEAD")
    assert requirement() == f"stir-hf @ git+{ADDRESS}@{commit}"
    assert repository(requirement()) == "https://example.org/lab/stir-hf"
    for host in ("git@example.org:", "ssh://git@example.org/", "ssh://git@example.org:2222/"):
        git(clone, "remote", "set-url", "origin", f"{host}lab/stir-hf.git")
        assert requirement() == f"stir-hf @ git+{ADDRESS}@{commit}"


def test_a_clone_from_which_nobody_gets_this_package(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, clone)
    (clone / PACKAGE.name / "errors.py").write_text("# another version\n")
    git(clone, "commit", "-qam", "later")
    git(clone, "update-ref", "refs/remotes/origin/main", "HEAD")
    assert requirement() is None
    git(clone, "reset", "-q", "--hard", "HEAD~1")
    assert requirement() is not None
    git(clone, "update-ref", "-d", "refs/remotes/origin/main")
    assert requirement() is None
    git(clone, "update-ref", "refs/remotes/origin/main", "HEAD")
    git(clone, "remote", "set-url", "origin", "https://me:secret@example.org/lab/stir-hf")
    assert requirement() is None
    install(monkeypatch, tmp_path)
    assert requirement() is None


def test_a_space_needs_a_place_and_says_how_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module_of_space, "requirement", lambda: None)
    for space, name in ((module_of_space.METRIC, "lab/stir"), (module_of_space.PAGE, "lab/page")):
        with pytest.raises(RequestError, match="give --package 'stir-hf @ git") as told:
            space.publish(name)
        assert EXAMPLE in str(told.value)


def test_the_page_says_how_the_place_is_given() -> None:
    part = PAGE.partition("`stir-hf publish-metric")[2].partition("##")[0]
    assert f'--package "{EXAMPLE}"' in part


@pytest.mark.parametrize(
    "place",
    [
        None,
        "stir-hf @ file:///tmp/a.whl",
        "stir-hf @ git+ssh://git@example.org/a@b",
        "x](http://y)",
    ],
)
def test_a_place_that_has_no_page(place: str | None) -> None:
    assert repository(place) is None
