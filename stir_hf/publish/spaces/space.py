"""The two Spaces: the evaluate module, which `evaluate` finds in its cache, too, and the page that
compares two checkpoints.
"""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from stir_hf.errors import RequestError
from stir_hf.hub import destination, one_run
from stir_hf.publish.repo import Change, Content, Pushed
from stir_hf.publish.rights import writable
from stir_hf.publish.spaces.requirement import EXAMPLE, PACKAGE, checked, requirement

NAME = "stir"
FROM_A_CLONE = "`pip install .` in a clone of the package's repository first."
"""The advice of the metric's card, which names the place of the package in the Space."""


@dataclass(frozen=True)
class Space:
    """A Space: a folder of files, of which `requirements.txt` gets the place of the package."""

    command: str
    """The command that publishes it."""
    title: str
    place: str
    """Its folder, beside the package or in it."""
    names: tuple[str, ...]
    """Its files."""
    name: str | None = None
    """The only name that it may have."""

    def folder(self) -> Path:
        """Return the folder of its files.

        Raises:
            RequestError: this installation lacks it.
        """
        for folder in (PACKAGE / self.place, PACKAGE.parent / self.place):
            if (folder / "app.py").is_file():
                return folder
        raise RequestError(f"this installation of stir-hf lacks {self.place}; install it again")

    def files(self, package: str) -> dict[str, Content]:
        """Return its files as they are published; `package` is what pip installs."""
        texts = {name: (self.folder() / name).read_text("utf-8") for name in self.names}
        lines = [t for t in texts["requirements.txt"].splitlines() if not t.startswith("#")]
        texts["requirements.txt"] = "\n".join([package, *lines]) + "\n"
        url = package.partition("@")[2].strip()
        told = f'`pip install "{package}"` first.'
        texts = {name: text.replace(FROM_A_CLONE, told) for name, text in texts.items()}
        texts = {n: re.sub("# From: .*", lambda _: f"# From: {url}", t) for n, t in texts.items()}
        return {name: Content(text.encode()) for name, text in texts.items()}

    @one_run()
    def publish(
        self,
        repo_id: str,
        package: str | None = None,
        *,
        private: bool = False,
        create_pr: bool = False,
    ) -> Pushed:
        """Create or update the Space. `package` is what pip installs; None: the repository of this
        installation at its commit.

        Raises:
            RequestError: a name that is not allowed, a repo that this token may not write or that
                is public where `private` is asked for, or no known place of the package.
            RunError: the Hub refuses, or is away for longer than STIR_HF_HUB_TIMEOUT.
        """
        repo_id = destination(repo_id, self.command, "space")
        if self.name not in (None, repo_id.rpartition("/")[2]):
            raise RequestError(
                f"{repo_id!r} is no name for it: evaluate.load needs NAMESPACE/{self.name}"
            )
        place = checked(package) if package else requirement()
        if place is None:
            raise RequestError(
                "it is not known where this installation of stir-hf came from (no clone whose"
                " commit its https remote has), and a Space must name a place to install it from:"
                f" give --package '{EXAMPLE}'"
            )
        change = Change(self.files(place))
        repo = writable(repo_id, self.command, create_pr=create_pr, kind="space").renamed()
        if private and repo.is_private() is False:
            raise RequestError(
                f"{self.command} {repo.id}: it is public already; make it private in its settings"
            )
        if not create_pr:
            repo.create(private=private or None, space_sdk="gradio")
        return repo.put(lambda _: change, self.title, create_pr=create_pr)


_SHARED = ("README.md", "app.py", "requirements.txt")
METRIC = Space(
    "publish-metric",
    "The STIR metric",
    f"metric_card/{NAME}",
    (*_SHARED, "stir.py", "tests.py"),
    NAME,
)
PAGE = Space("publish-space", "STIR in a browser", "spaces_demo", (*_SHARED, "example.json"))


def install_metric() -> Path:
    """Put the module into evaluate's cache, where `evaluate.load("stir")` finds it without the
    Hub; return the folder.

    `evaluate` looks on the Hub first, so that a canonical module of that name, once there is one,
    is what it takes.
    """
    from evaluate import loading

    folder = _cached()
    if folder.is_dir():
        shutil.rmtree(folder)
    loading._create_importable_file(  # private; nothing public does it: evaluate 0.4.6
        local_path=str(METRIC.folder() / f"{NAME}.py"),
        local_imports=[],
        additional_files=[],
        dynamic_modules_path=str(folder.parent.parent),
        module_namespace=folder.parent.name,
        name=f"evaluate-metric/{NAME}",
        download_mode=None,
    )
    return folder


def uninstall_metric() -> Path:
    """Take the module out of evaluate's cache again; return the folder that is gone.

    Raises:
        RequestError: it is not there.
    """
    folder = _cached()
    if not folder.is_dir():
        raise RequestError(f"the metric is not installed: there is no {folder}")
    shutil.rmtree(folder)
    return folder


def _cached() -> Path:
    from evaluate import loading

    return Path(loading.init_dynamic_modules()) / "metrics" / f"evaluate-metric--{NAME}"
