"""The requirement by which pip gets exactly this package: its repository at a commit.

There is no release under the package's name, and a name that nobody has registered is open to
squatters, so that no page may tell anybody to install it by its name alone.
"""

import json
import re
import subprocess
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import unquote, urlparse

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from stir_hf.errors import RequestError, one_line

NAME, PACKAGE = "stir-hf", Path(__file__).parents[2]
ADDED = ("metric_card", "spaces_demo")
"""Folders that a wheel has in the package, and a clone beside it (pyproject.toml)."""
EXAMPLE = f"{NAME} @ git+https://HOST/OWNER/NAME@COMMIT"
_EXPECTED = f"expected '{EXAMPLE}' or another place of a package"


def checked(given: str) -> str:
    """Return a requirement that names a place from which this package is installed.

    Raises:
        RequestError: no requirement, another package, or a name without a place.
    """
    try:
        asked = Requirement(given)
    except InvalidRequirement as error:
        raise RequestError(
            f"--package {given!r} cannot be read ({one_line(error)}); {_EXPECTED}"
        ) from error
    address = urlparse((asked.url or "").removeprefix("git+"))
    if address.username or address.password:
        raise RequestError("--package holds a name or a token, which everybody would see")
    if canonicalize_name(asked.name) != NAME or asked.url is None:
        raise RequestError(f"--package {given!r} is not it; {_EXPECTED}")
    return given


def requirement() -> str | None:
    """Return the requirement that installs the same again: the repository that this installation
    came from, perhaps by a clone, at its commit; None if that is not known or not public.
    """
    try:
        about = json.loads(distribution(NAME).read_text("direct_url.json") or "{}")
    except PackageNotFoundError:
        return None
    url, vcs = str(about.get("url", "")), about.get("vcs_info", {})
    if vcs.get("vcs") == "git" and url.startswith("https://") and "@" not in url:
        return f"{NAME} @ git+{url}@{vcs['commit_id']}"
    if "dir_info" in about:
        return _of_checkout(Path(unquote(urlparse(url).path)))
    return None


def repository(place: str | None) -> str | None:
    """Return the page of the repository that a requirement names; None if it names none."""
    found = re.fullmatch(
        rf"{NAME}(?:\[[\w,-]+\])? @ git\+(https://[\w./:-]+?)(?:\.git)?@.*", place or ""
    )
    return found[1] if found else None


def _of_checkout(folder: Path) -> str | None:
    """The requirement of a clone whose commit holds this package and is on its remote."""
    remote, commit = _git(folder, "remote", "get-url", "origin"), _git(folder, "rev-parse", "HEAD")
    pushed = commit and _git(folder, "branch", "--remotes", "--contains", commit)
    url = re.sub(r"^(?:ssh://git@([^:/]+)(?::\d+)?/|git@([^:/]+):)", r"https://\1\2/", remote)
    if not pushed or not url.startswith("https://") or "@" in url or not _holds_this(folder):
        return None
    return f"{NAME} @ git+{url}@{commit}"


def _holds_this(folder: Path) -> bool:
    """Return whether the commit of a clone holds the modules of this package as they run here."""
    from huggingface_hub.utils.sha import git_hash

    listed = _git(folder, "ls-tree", "-r", "HEAD", "--", PACKAGE.name).splitlines()
    there = {path: about.split()[2] for about, _, path in (line.partition("\t") for line in listed)}
    here = {path.relative_to(PACKAGE.parent).as_posix(): path for path in PACKAGE.rglob("*.py")}
    added = tuple(f"{PACKAGE.name}/{name}/" for name in ADDED)
    return all(
        there.get(p) == git_hash(f.read_bytes()) for p, f in here.items() if not p.startswith(added)
    )


def _git(folder: Path, *words: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
