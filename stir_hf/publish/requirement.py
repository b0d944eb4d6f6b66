"""What pip installs to get exactly this package: its repository at a commit.

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

NAME = "stir-hf"
_EXPECTED = f"expected '{NAME} @ git+https://HOST/OWNER/NAME@COMMIT' or another place of a package"


def checked(given: str) -> str:
    """A requirement that names a place.

    Raises:
        RequestError: no requirement, another package, or a name alone.
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
    """How this installation is had: from the repository that it came from, at its commit; None
    where that is not known or not public.
    """
    try:
        text = distribution(NAME).read_text("direct_url.json")
    except PackageNotFoundError:
        text = None
    about = json.loads(text) if text else {}
    url, vcs = str(about.get("url", "")), about.get("vcs_info", {})
    if vcs.get("vcs") == "git" and url.startswith("https://") and "@" not in url:
        return f"{NAME} @ git+{url}@{vcs['commit_id']}"
    if "dir_info" in about and about["dir_info"].get("editable"):
        return _of_checkout(Path(unquote(urlparse(url).path)))
    return None


def repository(place: str | None) -> str | None:
    """The page of the repository that a requirement names; None where it names none."""
    found = re.fullmatch(
        rf"{NAME}(?:\[[\w,-]+\])? @ git\+(https://[\w./:-]+?)(?:\.git)?@.*", place or ""
    )
    return found[1] if found else None


def _of_checkout(folder: Path) -> str | None:
    """Of a clone whose commit its remote has, too."""
    remote, commit = _git(folder, "remote", "get-url", "origin"), _git(folder, "rev-parse", "HEAD")
    pushed = commit and _git(folder, "branch", "--remotes", "--contains", commit)
    url = re.sub(r"^(?:ssh://)?git@([^:/]+)[:/]", r"https://\1/", remote)
    if not pushed or not url.startswith("https://") or "@" in url:
        return None
    return f"{NAME} @ git+{url}@{commit}"


def _git(folder: Path, *words: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
