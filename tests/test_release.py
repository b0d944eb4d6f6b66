"""What a release holds. `make dist` runs these tests on the files that it has built."""

import email.message
import email.parser
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # has none

import stir_hf
from tests import lowest
from tests.conftest import ROOT

IN_SDIST = {
    "CHANGELOG.md",
    "CITATION.cff",
    "CONTRIBUTING.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "constraints.txt",
    "pyproject.toml",
    "tests/conftest.py",
}
"""What the archive of the sources must have, beside all that the wheel is made from."""


@dataclass(frozen=True)
class Release:
    """The two files of a release."""

    wheel: Path
    sdist: Path

    def in_wheel(self) -> set[str]:
        """The names of the wheel's files."""
        with zipfile.ZipFile(self.wheel) as archive:
            return set(archive.namelist())

    def in_sdist(self) -> set[str]:
        """The names of the source archive's files, without the folder that holds them all."""
        with tarfile.open(self.sdist) as archive:
            return {name.partition("/")[2] for name in archive.getnames()}

    def metadata(self) -> email.message.Message:
        """The wheel's METADATA."""
        with zipfile.ZipFile(self.wheel) as archive:
            (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
            return email.parser.Parser().parsestr(archive.read(name).decode())


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    read: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return read


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """The files in the folder that DIST names, or new ones."""
    if "DIST" in os.environ:
        folder = ROOT / os.environ["DIST"]
    else:
        folder = tmp_path_factory.mktemp("dist")
        command = [sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)]
        subprocess.run(command, check=True)
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return Release(wheel, sdist)


def readme_of_release() -> str:
    """The README without links into the repository."""
    hooks = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]
    hook = hooks["metadata"]["hooks"]["fancy-pypi-readme"]
    assert [one["path"] for one in hook["fragments"]] == ["README.md"]
    readme = (ROOT / "README.md").read_text("utf-8")
    for change in hook["substitutions"]:
        readme = re.sub(change["pattern"], change["replacement"], readme)
    return readme


def sources(folder: Path) -> set[str]:
    """The files under a folder of the repository, but for what Python makes there."""
    paths = (p.relative_to(ROOT) for p in folder.rglob("*") if p.is_file())
    return {path.as_posix() for path in paths if "__pycache__" not in path.parts}


@pytest.mark.verify
def test_the_wheel_is_the_package_and_the_card_and_nothing_else(release: Release) -> None:
    info = f"stir_hf-{stir_hf.__version__}.dist-info/"
    names = release.in_wheel()
    pages = (ROOT / "metric_card", ROOT / "spaces_demo")
    card = {f"stir_hf/{name}" for folder in pages for name in sources(folder)}
    assert {name for name in names if not name.startswith(info)} == (
        sources(ROOT / "stir_hf") | card
    )
    assert f"{info}licenses/LICENSE" in names
    assert {f"stir_hf/demo/models/robust-{i}/model.safetensors" for i in range(2)} <= names
    assert "stir_hf/demo/images/test-00000-of-00001.parquet" in names
    assert {"stir_hf/metric_card/stir/stir.py", "stir_hf/py.typed"} <= names


@pytest.mark.verify
def test_the_source_archive_holds_what_its_tests_need(release: Release) -> None:
    needed = sources(ROOT / "stir_hf") | sources(ROOT / "metric_card") | sources(ROOT / "tests")
    names = release.in_sdist()
    assert names >= IN_SDIST | needed
    assert not {name for name in names if "__pycache__" in name or name.startswith(".venv")}


@pytest.mark.verify
def test_the_metadata_says_what_the_project_says(release: Release, project: dict[str, Any]) -> None:
    metadata = release.metadata()
    assert (metadata["Name"], metadata["Version"]) == ("stir-hf", stir_hf.__version__)
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == project["requires-python"]
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_payload() == readme_of_release()
    required = metadata.get_all("Requires-Dist", [])
    assert [line for line in required if "extra ==" not in line] == project["dependencies"]
    assert project["urls"]
    assert len(project["classifiers"]) == len(set(project["classifiers"]))


def test_the_changelog_begins_with_this_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    first = re.search(r"^## (\S+) \((unreleased|\d{4}-\d\d-\d\d)\)$", changelog, re.MULTILINE)
    assert first is not None
    assert first[1] == stir_hf.__version__


def test_the_citation_is_of_this_version_and_the_paper() -> None:
    about = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert about["version"] == stir_hf.__version__
    paper = about["preferred-citation"]
    page = (ROOT / "docs" / "methods.md").read_text("utf-8")
    assert f"title     = {{{paper['title']}}}" in page
    authors = (f"{one['family-names']}, {one['given-names']}" for one in paper["authors"])
    assert f"author    = {{{' and '.join(authors)}}}" in page
    readme = " ".join((ROOT / "README.md").read_text("utf-8").split())
    assert paper["title"] in readme
    assert "Nanda et al." in readme


def test_links_of_the_readme_work_away_from_the_repository(project: dict[str, Any]) -> None:
    """Links into the repository, which work where it is hosted, are left out of a release."""
    readme = (ROOT / "README.md").read_text("utf-8")
    for link in re.findall(r"\]\(((?!https?:)[^)\s]+)", readme):
        assert (ROOT / link).exists()
    assert "readme" in project["dynamic"]
    readme = readme_of_release()
    assert "[" not in readme.partition("```")[0]
    links = re.findall(r"\]\(([^)\s]+)", readme) + re.findall(r"(?:href|src)=\"([^\"]+)", readme)
    assert [link for link in links if not re.match(r"https?://|#|mailto:", link)] == []


def test_every_requirement_has_one_lower_bound(project: dict[str, Any]) -> None:
    made = list(lowest.lowest(project["dependencies"], ["torch==2.13.0", "numpy==2.4.6"]))
    assert len(made) == len(project["dependencies"])
    assert "torch==2.13.0" in made
    assert "numpy==2.4.6" not in made


def test_an_upper_bound_may_stand_beside_the_lower_one() -> None:
    assert list(lowest.lowest(["gradio[mcp]>=6.31,<6.32"], [])) == ["gradio==6.31"]


@pytest.mark.parametrize(
    "requirements", [["numpy"], ["numpy<3,>=2"], ["numpy==2"], ["numpy>=2; os_name == 'nt'"]]
)
def test_a_requirement_of_another_form_is_refused(requirements: Sequence[str]) -> None:
    with pytest.raises(ValueError, match="not of the form name>=version"):
        list(lowest.lowest(requirements, []))
