"""Names that users give: ids and addresses of the Hub, and paths."""

import os
import re
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

from stir_hf.errors import RequestError, closest

Kind = Literal["model", "dataset", "space"]


def split_revision(name: str, kind: Kind | None = None) -> tuple[str, str | None]:
    """`id@revision`, or an address of the Hub, apart; a path is left whole, since a folder's name
    may hold an `@`.

    Args:
        name: as a user gives it.
        kind: of the repo that is meant; None takes any.

    Raises:
        RequestError: an address of another site, of another kind of repo, or of a page within one;
            one of a repo whose id is also a folder here.
    """
    if is_there(name):
        return name, None
    if (address := _address(name)) is not None:
        repo_id, revision = _parts(name, address, kind)
        if is_local(repo_id):
            raise RequestError(
                f"{name} is an address of the Hub, and {repo_id} is a path here, which comes first;"
                " give that, or run the command in another folder"
            )
        return repo_id, revision
    if is_path(name):
        return name, None
    repo_id, _, revision = name.rpartition("@") if "@" in name else (name, "", "")
    return repo_id, revision or None


def destination(name: str, option: str, kind: Kind = "dataset") -> str:
    """The id of a repo that is to be written to, given by it or by its address.

    Raises:
        RequestError: see `split_revision`; a revision.
    """
    if _address(name) is None:
        return name
    repo_id, revision = _parts(name, str(_address(name)), kind)
    if revision is not None:
        raise RequestError(f"{option} {name} names a revision; give {repo_id}")
    return repo_id


_KINDS: dict[str, Kind] = {"models": "model", "datasets": "dataset", "spaces": "space"}
_SITES = ("https://huggingface.co", "https://hf.co")


def _address(name: str) -> str | None:
    """All of an address behind the Hub's own name; None for a name that is none.

    Raises:
        RequestError: an address of another site.
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
    raise RequestError(f"{shown} is an address, and not one of the Hub; give NAMESPACE/NAME")


def _parts(name: str, address: str, kind: Kind | None) -> tuple[str, str | None]:
    """The id and the revision in an address; errors as `split_revision`."""
    plain, _, at = re.split("[?#]", address)[0].partition("@")
    parts = [part for part in plain.split("/") if part]
    named = _KINDS.get(parts[0]) if len(parts) > 1 else None
    found: Kind = named or "model"
    parts = parts[named is not None :]
    if not 1 <= len(parts) <= 2 and not (len(parts) == 4 and parts[2] == "tree"):
        known = f"give {'/'.join(parts[:2])}" if len(parts) > 2 else "give NAMESPACE/NAME"
        raise RequestError(f"{name} is no address of a whole repo; {known}")
    repo_id, revision = "/".join(parts[:2]), at or "".join(parts[3:4])
    if kind is not None and found != kind:
        folder = "" if kind == "model" else f"{kind}s/"
        raise RequestError(
            f"{name} is the address of a {found}; expected a {kind}, whose address is"
            f" https://huggingface.co/{folder}NAMESPACE/NAME"
        )
    return repo_id, unquote(revision) or None


def is_local(name: str) -> bool:
    """Return whether `name` is a path on disk, or can only be meant as one."""
    return is_there(name) or is_path(name)


def is_path(name: str) -> bool:
    """Return whether `name` can only be meant as a path."""
    return name.startswith((".", "/", "~")) or name.partition("@")[0].count("/") > 1


def is_hub_id(name: str) -> bool:
    """Return whether `name` is a repo's id, with a revision or without, and no path on disk."""
    whole = re.fullmatch(r"[\w.-]+/[\w.-]+(@\S+)?", name)
    return whole is not None and not is_local(name)


def is_there(name: str) -> bool:
    """Return whether `name` is a path on disk; a name that no file system takes is none."""
    try:
        return Path(name).expanduser().exists()
    except (OSError, ValueError, RuntimeError):
        return False


def no_such_folder(name: str, what: str) -> RequestError:
    """The error for a path that does not exist, with the names beside it."""
    path = Path(name).expanduser()
    near = path.parent if is_there(str(path.parent)) and path.parent.is_dir() else None
    beside = [p.name for p in near.iterdir() if p.is_dir()] if near else []
    hint = closest(path.name, beside)
    return RequestError(f"no such {what}: {name}" + (f"; {hint}" if hint else ""))
