"""Everything that talks to the Hub: names and revisions resolved to commits, files fetched,
refusals as one line.
"""

import importlib
import importlib.util
import re
from bisect import bisect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from glob import escape
from pathlib import Path
from typing import Literal

from stir_hf.errors import RequestError, closest, one_line

RepoType = Literal["model", "dataset"]


def split_revision(name: str) -> tuple[str, str | None]:
    """`id@revision` apart; a path is left whole, since a folder's name may hold an `@`."""
    if is_local(name):
        return name, None
    repo_id, _, revision = name.rpartition("@") if "@" in name else (name, "", "")
    return repo_id, revision or None


def is_local(name: str) -> bool:
    """Whether `name` is a path on disk, or can only be meant as one."""
    return is_there(name) or is_path(name)


def is_path(name: str) -> bool:
    """Whether `name` can only be meant as a path."""
    return name.startswith((".", "/", "~")) or name.partition("@")[0].count("/") > 1


def is_hub_id(name: str) -> bool:
    """Whether `name` is the id of a repo, with a revision or without, and no path on disk."""
    whole = re.fullmatch(r"[\w.-]+/[\w.-]+(@\S+)?", name)
    return whole is not None and not is_local(name)


def is_there(name: str) -> bool:
    """Whether `name` is a path on disk; a name that no file system takes is none."""
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


@dataclass(frozen=True)
class Found:
    """A repo of the Hub at one commit."""

    repo_id: str
    repo_type: RepoType
    commit: str
    reachable: bool
    """Whether the Hub gave an answer; where not, the cache is all there is."""
    folder: Path = Path()
    """Where its small files are in the Hub's cache, and what `fetch` adds."""
    files: tuple[str, ...] = ()
    """The names of all its files; of those in the cache, where that is all that is known."""
    listed: bool = True
    """True where all are named."""

    @property
    def url(self) -> str:
        """Where `huggingface_hub.HfFileSystem` finds the files of a dataset."""
        return f"hf://datasets/{self.repo_id}@{self.commit}"


_SHOWN = 3
_FEW = 100
"""So many patterns take no time."""

SMALL_FILES: dict[RepoType, tuple[str, ...]] = {
    "model": ("config.json", "preprocessor_config.json"),
    "dataset": ("README.md", ".huggingface.yaml", "dataset_infos.json", ".gitattributes"),
}
"""What is fetched of every repo, with the list of its files; the last is there in every repo that
the Hub made.
"""


def resolve(repo_id: str, revision: str | None, repo_type: RepoType) -> Found:
    """The commit that a branch, tag or commit of a Hub repo names now, and its files; where the
    Hub gives no answer, the commit that it named when it was last asked.

    Raises:
        RequestError: no such repo or revision, no access, a token that the Hub does not accept, or
            no answer and nothing in the cache.
    """
    import huggingface_hub as hub

    with hub_errors(repo_id, revision, repo_type):
        commit = hub.resolve_revision(repo_id, repo_type=repo_type, revision=revision).resolved
        found = Found(repo_id, repo_type, commit, _answers(repo_id, commit, repo_type))
        folder = fetch(found, SMALL_FILES[repo_type])
        listed = True
        try:
            tree = hub.get_cached_repo_tree(repo_id, repo_type=repo_type, revision=commit)
            files = [file.path for file in tree]
        except hub.errors.CachedRepoTreeNotFoundError:
            there = (p for p in folder.rglob("*") if p.is_file() or p.is_symlink())  # or was
            files = [p.relative_to(folder).as_posix() for p in there]
            listed = False
    found = replace(found, folder=folder, files=tuple(files), listed=listed)
    fetch(found, [name for name in SMALL_FILES[repo_type] if name in files])
    return found


def fetch(found: Found, files: Sequence[str]) -> Path:
    """The folder in the Hub's cache with these files of a commit; what is there already is not
    asked for.

    Raises:
        RequestError: the Hub refuses a file, or gives no answer and not all of them are in the
            cache.
    """
    import huggingface_hub as hub

    with hub_errors(found.repo_id, found.commit, found.repo_type):
        folder = hub.snapshot_download(
            found.repo_id,
            repo_type=found.repo_type,
            revision=found.commit,
            allow_patterns=_patterns(files, found.files) if found.reachable else [],
            local_files_only=not found.reachable,
        )
    if not found.reachable and found.files:
        owed = [name for name in files if name in found.files or not found.listed]
        if lacking := [name for name in owed if not Path(folder, name).is_file()]:
            raise not_cached(found, lacking)
    return Path(folder)


def not_cached(found: Found, names: Sequence[str]) -> RequestError:
    """The error for files of a repo that are not in the cache while the Hub gives no answer."""
    shown = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
    are = "are" if len(names) > 1 else "is"
    return RequestError(
        f"{shown} of {found.repo_type} {found.repo_id!r} {are} not in the cache, and {silence()}"
    )


def silence() -> str:
    """The reason why the Hub gave no answer."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "the Hub was not asked (HF_HUB_OFFLINE=1)"
    return "the Hub cannot be reached"


@contextmanager
def only_cached(found: Found) -> Iterator[None]:
    """Tell of what is wrong with a repo that it may be so in the cache alone, where nobody knows
    which files the repo has.

    Raises:
        RequestError: in the place of one that was raised.
    """
    try:
        yield
    except RequestError as error:
        if found.listed:
            raise
        raise RequestError(
            f"{found.repo_type} {found.repo_id!r} is not in the cache as a whole, and {silence()};"
            f" by what there is of it: {error}"
        ) from error


def _patterns(files: Sequence[str], there: Sequence[str]) -> list[str]:
    """Patterns that these files of a repo match and no others there: few where the files share the
    beginning or the end of their names, since the client tries every pattern on every file.
    """
    if len(files) <= _FEW:
        return [escape(name) for name in files]
    others = set(there) - set(files)
    begin = {escape(name[:n]) + "*" * (n <= len(name)) for name, n in _own(files, others)}
    if len(begin) <= _FEW:
        return sorted(begin)
    turned = _own([name[::-1] for name in files], {name[::-1] for name in others})
    end = {"*" * (n <= len(name)) + escape(name[:n][::-1]) for name, n in turned}
    return sorted(begin if len(begin) <= len(end) else end)


def _own(names: Sequence[str], others: set[str]) -> Iterator[tuple[str, int]]:
    """Each name with the length of its shortest beginning that no other has; one more than its own
    where all of it begins another.
    """
    ordered = sorted(others)
    for name in names:
        place = bisect(ordered, name)
        near = ordered[max(place - 1, 0) : place + 1]
        yield name, 1 + max((_shared(name, one) for one in near), default=0)


def _shared(one: str, other: str) -> int:
    """How many characters two names begin with alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))


def _answers(repo_id: str, commit: str, repo_type: RepoType) -> bool:
    """Whether the Hub can be asked for this commit; one request, where a download would be tried
    six times per file.
    """
    import huggingface_hub as hub

    try:
        hub.HfApi().repo_info(repo_id, revision=commit, repo_type=repo_type)
    except Exception as error:
        if not is_unreachable(error):
            raise
        return False
    return True


@contextmanager
def hub_errors(repo_id: str, revision: str | None, repo_type: RepoType) -> Iterator[None]:
    """Turn what the Hub's client raises into one line that says what to do.

    Args:
        repo_id: as it was given; it may be no repo id.
        revision: of it; None is main.
        repo_type: what messages call it.

    Raises:
        RequestError: in the place of whatever the client raises of the repo or the connection; any
            other exception passes.
    """
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError as error:
        raise RequestError(
            f"{repo_type} {repo_id} is gated: ask for access on its page, then sign in with `hf"
            f" auth login`{_reason(error)}"
        ) from error
    except errors.RevisionNotFoundError as error:
        hint = closest(revision or "main", _revisions(repo_id, repo_type))
        raise RequestError(f"{repo_type} {repo_id} has no revision {revision!r}; {hint}") from error
    except errors.RepositoryNotFoundError as error:
        raise RequestError(
            f"no {repo_type} {repo_id!r} on the Hub and no such folder here (a private one needs"
            f" `hf auth login` with an account that may read it){_reason(error)}"
        ) from error
    except errors.HFValidationError as error:
        raise RequestError(
            f"{repo_id!r} is neither a folder here nor a Hub id: {one_line(error)}"
        ) from error
    except Exception as error:
        if is_unreachable(error):
            cause = type(error.__cause__ or error).__name__
            what = f"revision {revision!r} of " if revision else ""
            why = silence() if "OFFLINE" in silence() else f"{silence()} ({cause})"
            raise RequestError(
                f"{what}{repo_type} {repo_id!r} is not in the cache, and {why}"
            ) from error
        if not isinstance(error, errors.HfHubHTTPError):
            raise
        status = error.response.status_code
        hint = "; the token is not accepted: sign in with `hf auth login`" if status == 401 else ""
        raise RequestError(
            f"the Hub refused {repo_type} {repo_id} with status {status}{hint}"
        ) from error


def _reason(error: Exception) -> str:
    """What the Hub itself says, if anything."""
    said = getattr(error, "server_message", None)
    return f"; the Hub says: {one_line(ValueError(said))}" if said else ""


def is_unreachable(error: BaseException) -> bool:
    """Whether the Hub gave no answer: it is down, out of reach or switched off."""
    from huggingface_hub import errors

    if isinstance(error, errors.HfHubHTTPError):
        return error.response.status_code >= 500
    no_answer = (
        errors.RevisionResolutionError,
        errors.LocalEntryNotFoundError,
        ConnectionError,
        *_http_errors(),
    )
    return isinstance(error, no_answer)


def _http_errors() -> tuple[type[Exception], ...]:
    """What the client's HTTP library raises: httpx2 since huggingface_hub 2, httpx before."""
    there = [name for name in ("httpx2", "httpx") if importlib.util.find_spec(name)]
    return tuple(importlib.import_module(name).HTTPError for name in there)


def _revisions(repo_id: str, repo_type: RepoType) -> list[str]:
    import huggingface_hub as hub

    refs = hub.HfApi().list_repo_refs(repo_id, repo_type=repo_type)
    return [ref.name for ref in (*refs.branches, *refs.tags)]
