"""Everything that talks to the Hub: names and revisions resolved to commits, refusals as one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from stir_hf.errors import RequestError, closest, one_line

RepoType = Literal["model", "dataset"]


def is_local(name: str) -> bool:
    """Whether `name` is a path on disk, or can only be meant as one."""
    return Path(name).exists() or name.startswith((".", "/", "~")) or name.count("/") > 1


def no_such_folder(name: str, what: str) -> RequestError:
    """The error for a path that does not exist, with the names beside it."""
    path = Path(name).expanduser()
    beside = [p.name for p in path.parent.iterdir() if p.is_dir()] if path.parent.is_dir() else []
    hint = closest(path.name, beside)
    return RequestError(f"no such {what}: {name}" + (f"; {hint}" if hint else ""))


def resolve(repo_id: str, revision: str | None, repo_type: RepoType) -> str | None:
    """The commit that a branch, tag or commit of a Hub repo names now; None when the Hub is out of reach but offline use
    of the cache is possible.

    Raises:
        RequestError: no such repo or revision, no access, or a token that the Hub does not accept.
    """
    import huggingface_hub as hub
    from huggingface_hub import constants

    with speaking_of(repo_id, revision, repo_type):
        if constants.HF_HUB_OFFLINE:
            return _cached_commit(repo_id, revision, repo_type)
        info = hub.HfApi().repo_info(repo_id, revision=revision, repo_type=repo_type)
        return str(info.sha)


def files(repo_id: str, commit: str | None, repo_type: RepoType) -> list[str] | None:
    """The names of a repo's files, or None when the Hub cannot be asked."""
    import huggingface_hub as hub
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return None
    with speaking_of(repo_id, commit, repo_type):
        return hub.HfApi().list_repo_files(repo_id, revision=commit, repo_type=repo_type)


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
        raise RequestError(f"{repo_id!r} is neither a folder here nor a Hub id: {one_line(error)}") from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else "?"
        raise RequestError(f"the Hub refused {repo_type} {repo_id} with status {status}") from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled, http_error, ConnectionError) as error:
        raise RequestError(
            f"the Hub cannot be reached for {repo_type} {repo_id!r}, and it is not in the cache ({type(error).__name__})"
        ) from error


def _revisions(repo_id: str, repo_type: RepoType) -> list[str]:
    import huggingface_hub as hub

    refs = hub.HfApi().list_repo_refs(repo_id, repo_type=repo_type)
    return [ref.name for ref in (*refs.branches, *refs.tags)]


def _cached_commit(repo_id: str, revision: str | None, repo_type: RepoType) -> str | None:
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    folder = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repo_id, repo_type=repo_type)
    ref = folder / "refs" / (revision or "main")
    return ref.read_text().strip() if ref.is_file() else revision
