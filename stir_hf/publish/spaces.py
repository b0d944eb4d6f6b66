"""The two Spaces: that of the evaluate module, which can also be installed locally, and the page
that compares two checkpoints.
"""

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from stir_hf.errors import RequestError
from stir_hf.hub import destination, one_run
from stir_hf.publish.repo import Pushed, Repo
from stir_hf.publish.requirement import EXAMPLE, checked, requirement
from stir_hf.publish.rights import check_writable
from stir_hf.publish.state import Change, Content

NAME = "stir"
METRIC_FILES = ("README.md", "app.py", "requirements.txt", "stir.py", "tests.py")
"""The files of the metric's Space."""
FROM_A_CLONE = "`pip install .` in a clone of the package's repository first."
"""Advice in the metric's card, which the requirement of the package replaces in the Space."""
PAGE_FILES = ("README.md", "app.py", "requirements.txt", "example.json")
"""The files of the page's Space."""


def card_folder() -> Path:
    """The folder of the evaluate module: its script, its card and its app.

    Raises:
        RequestError: this installation lacks it.
    """
    return _installed(f"metric_card/{NAME}")


def page_folder() -> Path:
    """The folder of the page: its app and the example that it shows first.

    Raises:
        RequestError: this installation lacks it.
    """
    return _installed("spaces_demo")


def _installed(name: str) -> Path:
    """A folder next to the package in a clone, or inside the installed package."""
    package = Path(__file__).parent.parent
    for folder in (package / name, package.parent / name):
        if (folder / "app.py").is_file():
            return folder
    raise RequestError(f"this installation of stir-hf lacks {name}; install it again")


def install_metric() -> Path:
    """Copy the module to evaluate's cache, where `evaluate.load("stir")` finds it without the Hub,
    and return the folder.

    `evaluate` searches the Hub first, so a canonical module of that name would be used instead.
    """
    from evaluate import loading

    folder = _cached()
    _remove(folder)
    loading._create_importable_file(  # private; nothing public does it: evaluate 0.4.6
        local_path=str(card_folder() / f"{NAME}.py"),
        local_imports=[],
        additional_files=[],
        dynamic_modules_path=str(folder.parent.parent),
        module_namespace=folder.parent.name,
        name=f"evaluate-metric/{NAME}",
        download_mode=None,
    )
    return folder


def uninstall_metric() -> Path:
    """Remove the module from evaluate's cache, and return its former folder.

    Raises:
        RequestError: the module is not installed.
    """
    folder = _cached()
    if not folder.is_dir():
        raise RequestError(f"the metric is not installed: there is no {folder}")
    _remove(folder)
    return folder


def publish_metric(
    repo_id: str,
    package: str | None = None,
    *,
    private: bool = False,
    create_pr: bool = False,
) -> Pushed:
    """Create or update the Space `NAMESPACE/stir`.

    Args:
        repo_id: the Space; its name must be `stir`, the name that `evaluate` loads.
        package: the requirement for pip; None for the repository of this installation.
        private: make the Space private.
        create_pr: open a pull request.

    Raises:
        RequestError: another name, no write access, `private` for a public repo, or an unknown
            requirement of the package.
        RunError: the Hub refuses, or is unavailable for longer than STIR_HF_HUB_TIMEOUT.
    """
    repo_id = destination(repo_id, "publish-metric", "space")
    if repo_id.rpartition("/")[2] != NAME:
        raise RequestError(
            f"{repo_id!r} is no name for it: evaluate.load reads NAMESPACE/{NAME} alone"
        )
    files, title = metric_files(_place_of(package)), "The STIR metric"
    return _put("publish-metric", repo_id, files, title, private=private, create_pr=create_pr)


def publish_space(
    repo_id: str,
    package: str | None = None,
    *,
    private: bool = False,
    create_pr: bool = False,
) -> Pushed:
    """Create or update the Space that compares two checkpoints in a browser; arguments and errors
    as for `publish_metric`, but with any name.
    """
    files, title = page_files(_place_of(package)), "STIR in a browser"
    return _put("publish-space", repo_id, files, title, private=private, create_pr=create_pr)


def _place_of(package: str | None) -> str:
    place = checked(package) if package else requirement()
    if place is None:
        raise RequestError(
            "it is not known where this installation of stir-hf came from (no clone whose commit"
            " its https remote has), and a Space must name a place to install it from: give"
            f" --package '{EXAMPLE}'"
        )
    return place


@one_run()
def _put(
    command: str,
    repo_id: str,
    files: Mapping[str, Content],
    title: str,
    *,
    private: bool,
    create_pr: bool,
) -> Pushed:
    repo = Repo(destination(repo_id, command, "space"), "space")
    check_writable(repo, command, create_pr=create_pr)
    repo = repo.renamed()
    if private and repo.is_private() is False:
        raise RequestError(
            f"{command} {repo.id}: it is public already; make it private in its settings"
        )
    if not create_pr:
        repo.create(private=private or None, space_sdk="gradio")
    return repo.put(lambda _: Change(files), title, create_pr=create_pr)


def metric_files(place: str) -> dict[str, Content]:
    """The files of the metric's Space; `place` is the requirement for pip."""
    texts = _texts(card_folder(), METRIC_FILES, place)
    url = place.partition("@")[2].strip()
    texts["stir.py"] = re.sub(r"# From: .*", lambda _: f"# From: {url}", texts["stir.py"])
    card = texts["README.md"].replace(FROM_A_CLONE, f'`pip install "{place}"` first.')
    texts["README.md"] = card
    return {name: Content(text.encode()) for name, text in texts.items()}


def page_files(place: str) -> dict[str, Content]:
    """The files of the page's Space; `place` is the requirement for pip."""
    texts = _texts(page_folder(), PAGE_FILES, place)
    return {name: Content(text.encode()) for name, text in texts.items()}


def _texts(folder: Path, names: Sequence[str], place: str) -> dict[str, str]:
    """The files, with the package as the first requirement, and without comments."""
    texts = {name: (folder / name).read_text("utf-8") for name in names}
    others = [line for line in texts["requirements.txt"].splitlines() if not line.startswith("#")]
    texts["requirements.txt"] = "\n".join([place, *others]) + "\n"
    return texts


def _cached() -> Path:
    from evaluate import loading

    return Path(loading.init_dynamic_modules()) / "metrics" / f"evaluate-metric--{NAME}"


def _remove(folder: Path) -> None:
    if folder.is_dir():
        shutil.rmtree(folder)
