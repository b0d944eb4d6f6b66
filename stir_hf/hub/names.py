"""Names that users give: ids and URLs of the Hub, and paths."""

import os
import re
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

from stir_hf.errors import RequestError, closest

Kind = Literal["model", "dataset", "space"]


def split_revision(name: str, kind: Kind | None = None) -> tuple[str, str | None]:
    """Split `id@revision` or a URL of the Hub into id and revision. A path is not split, since the
    name of a folder may contain an `@`. `kind` is the expected kind of repo; None for any.

    Raises:
        RequestError: a URL of another site, of another kind of repo, or of a page within a repo; or
            a URL of a repo whose id is also a local folder.
    """
    if is_there(name):
        return name, None
    if (address := _address(name)) is not None:
        repo_id, revision = _parts(name, address, kind)
        if is_local(repo_id):
            raise RequestError(
                f"{name} is a URL of the Hub, but there is also a path {repo_id} here: give"
                f" {repo_id} for that; for the Hub's, run the command in another folder"
            )
        return repo_id, revision
    if is_path(name):
        return name, None
    repo_id, _, revision = name.rpartition("@") if "@" in name else (name, "", "")
    return repo_id, revision or None


def destination(name: str, option: str, kind: Kind = "dataset") -> str:
    """The id of a repo to write to, from its id or URL.

    Raises:
        RequestError: as `split_revision`; or a name with a revision.
    """
    if (address := _address(name)) is None:
        return name
    repo_id, revision = _parts(name, address, kind)
    if revision is not None:
        raise RequestError(f"{option} {name} names a revision; give {repo_id}")
    return repo_id


_KINDS: dict[str, Kind] = {"models": "model", "datasets": "dataset", "spaces": "space"}
_SITES = ("https://huggingface.co", "https://hf.co")


def _address(name: str) -> str | None:
    """The part of a URL after the Hub's host name; None for a name that is not a URL, RequestError
    for a URL of another site.
    """
    scheme, mark, rest = name.partition("://")
    if not mark:
        if name.lower().startswith(("huggingface.co/", "hf.co/")):
            return name.partition("/")[2]
        first, _, others = name.partition("/")
        return name if first in _KINDS and others.partition("@")[0].count("/") == 1 else None
    if scheme.lower() == "hf":
        return rest
    plain = f"{'https' if scheme.lower() == 'http' else scheme.lower()}://{rest}"
    for site in (*_SITES, os.environ.get("HF_ENDPOINT", "").rstrip("/")):
        start = site.replace("http://", "https://", 1).lower() + "/"
        for one in (start, start.replace("https://", "https://www.", 1)):
            if site and plain.lower().startswith(one):
                return plain[len(one) :]
    shown = re.sub("//[^/]*@", "//", name)  # without a password or a token
    raise RequestError(f"{shown} is a URL, but not of the Hub; give NAMESPACE/NAME")


def _parts(name: str, address: str, kind: Kind | None) -> tuple[str, str | None]:
    """The id and the revision in a URL; errors as `split_revision`."""
    plain, _, at = re.split("[?#]", address)[0].partition("@")
    parts = [part for part in plain.split("/") if part]
    named = _KINDS.get(parts[0]) if len(parts) > 1 else None
    found: Kind = named or "model"
    parts = parts[named is not None :]
    if not 1 <= len(parts) <= 2 and not (len(parts) == 4 and parts[2] == "tree"):
        known = f"give {'/'.join(parts[:2])}" if len(parts) > 2 else "give NAMESPACE/NAME"
        raise RequestError(f"{name} is not the URL of a repo; {known}")
    repo_id, revision = "/".join(parts[:2]), at or "".join(parts[3:4])
    if kind is not None and found != kind:
        folder = "" if kind == "model" else f"{kind}s/"
        raise RequestError(
            f"{name} is the URL of a {found}; expected a {kind}, whose URL is"
            f" https://huggingface.co/{folder}NAMESPACE/NAME"
        )
    return repo_id, unquote(revision) or None


def is_local(name: str) -> bool:
    """Return whether `name` is an existing path, or can only be a path."""
    return is_there(name) or is_path(name)


def is_path(name: str) -> bool:
    """Return whether `name` can only be a path."""
    return name.startswith((".", "/", "~")) or name.partition("@")[0].count("/") > 1


def is_hub_id(name: str) -> bool:
    """Return whether `name` is a repo's id, perhaps with a revision, and not an existing path."""
    whole = re.fullmatch(r"[\w.-]+/[\w.-]+(@\S+)?", name)
    return whole is not None and not is_local(name)


def is_there(name: str) -> bool:
    """Return whether `name` is an existing path; False for a name that is invalid as a path."""
    try:
        return Path(name).expanduser().exists()
    except (OSError, ValueError, RuntimeError):
        return False


def no_such_folder(name: str, what: str) -> RequestError:
    """The error for a path that does not exist, with the names next to it."""
    path = Path(name).expanduser()
    near = path.parent if is_there(str(path.parent)) and path.parent.is_dir() else None
    beside = [p.name for p in near.iterdir() if p.is_dir()] if near else []
    hint = closest(path.name, beside)
    return RequestError(f"no such {what}: {name}" + (f"; {hint}" if hint else ""))
