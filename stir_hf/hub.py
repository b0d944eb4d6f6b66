"""Everything that talks to the Hub: names and revisions resolved to commits, refusals as one line."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
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
    return (
        Path(name).exists()
        or name.startswith((".", "/", "~"))
        or name.partition("@")[0].count("/") > 1
    )


def no_such_folder(name: str, what: str) -> RequestError:
    """The error for a path that does not exist, with the names beside it."""
    path = Path(name).expanduser()
    beside = [p.name for p in path.parent.iterdir() if p.is_dir()] if path.parent.is_dir() else []
    hint = closest(path.name, beside)
    return RequestError(f"no such {what}: {name}" + (f"; {hint}" if hint else ""))


@dataclass(frozen=True)
class Found:
    """A repo at one commit."""

    commit: str
    files: tuple[str, ...] | None
    """Their names; None when the Hub gave no answer and the commit is what was known."""


def resolve(repo_id: str, revision: str | None, repo_type: RepoType) -> Found:
    """The commit that a branch, tag or commit of a Hub repo names now, and its files; where the Hub gives no answer, the
    commit that it named when it was last asked.

    Raises:
        RequestError: no such repo or revision, no access, a token that the Hub does not accept, or no answer and nothing
            in the cache.
    """
    import huggingface_hub as hub

    folder = _cache(repo_id, repo_type)
    ref = folder / "refs" / (revision or "main")
    with speaking_of(repo_id, revision, repo_type):
        try:
            info = hub.HfApi().repo_info(repo_id, revision=revision, repo_type=repo_type)
        except Exception as error:
            if not _silent(error):
                raise
            if ref.is_file():
                return Found(ref.read_text().strip(), None)
            if revision and (folder / "snapshots" / revision).is_dir():
                return Found(revision, None)
            raise
    commit = str(info.sha)
    if commit != revision:
        with suppress(OSError):  # a cache that is read-only or full is no reason to stop
            ref.parent.mkdir(parents=True, exist_ok=True)
            ref.write_text(commit)
    return Found(
        commit, tuple(sibling.rfilename for sibling in getattr(info, "siblings", None) or ())
    )


def cached(repo_id: str, commit: str, repo_type: RepoType) -> Path:
    """The folder in the cache that holds what was fetched of a commit.

    Raises:
        RequestError: nothing was.
    """
    folder = _cache(repo_id, repo_type) / "snapshots" / commit
    if not folder.is_dir():
        raise RequestError(
            f"the Hub cannot be reached for {repo_type} {repo_id!r}, and it is not in the cache"
        )
    return folder


@contextmanager
def speaking_of(repo_id: str, revision: str | None, repo_type: RepoType) -> Iterator[None]:
    """Turn what the Hub's client raises into one line that says what to do."""
    from huggingface_hub import errors

    http_error: type[Exception] = errors.HfHubHTTPError.__mro__[
        1
    ]  # of the client's HTTP library: httpx or httpx2, by version
    try:
        yield
    except errors.GatedRepoError as error:
        raise RequestError(
            f"{repo_type} {repo_id} is gated: ask for access on its page, then sign in with `hf auth login`"
        ) from error
    except errors.RevisionNotFoundError as error:
        hint = closest(revision or "main", _revisions(repo_id, repo_type))
        raise RequestError(f"{repo_type} {repo_id} has no revision {revision!r}; {hint}") from error
    except errors.RepositoryNotFoundError as error:
        raise RequestError(
            f"no {repo_type} {repo_id!r} on the Hub and no such folder here (a private one needs `hf auth login`)"
        ) from error
    except errors.HFValidationError as error:
        raise RequestError(
            f"{repo_id!r} is neither a folder here nor a Hub id: {one_line(error)}"
        ) from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else "?"
        raise RequestError(f"the Hub refused {repo_type} {repo_id} with status {status}") from error
    except (
        errors.LocalEntryNotFoundError,
        errors.OfflineModeIsEnabled,
        http_error,
        ConnectionError,
    ) as error:
        raise RequestError(
            f"the Hub cannot be reached for {repo_type} {repo_id!r}, and it is not in the cache ({type(error).__name__})"
        ) from error


def _cache(repo_id: str, repo_type: RepoType) -> Path:
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    return Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repo_id, repo_type=repo_type)


def _revisions(repo_id: str, repo_type: RepoType) -> list[str]:
    import huggingface_hub as hub

    refs = hub.HfApi().list_repo_refs(repo_id, repo_type=repo_type)
    return [ref.name for ref in (*refs.branches, *refs.tags)]


def _silent(error: Exception) -> bool:
    """Whether the Hub gave no answer: it is down, out of reach or switched off."""
    from huggingface_hub import errors

    if isinstance(error, errors.HfHubHTTPError):
        return error.response is not None and error.response.status_code >= 500
    return isinstance(error, (errors.HfHubHTTPError.__mro__[1], ConnectionError))
