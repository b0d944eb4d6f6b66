"""Reading repos: resolving names and revisions to commits, and fetching files."""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path, PureWindowsPath
from typing import Any
from uuid import uuid4

import huggingface_hub as hub

from stir_hf.hub.found import Found, RepoType
from stir_hf.hub.patterns import patterns_of
from stir_hf.hub.refusals import hub_errors, is_unreachable, not_cached, status_of
from stir_hf.hub.retry import again, once

SMALL_FILES: dict[RepoType, tuple[str, ...]] = {
    "model": ("config.json", "preprocessor_config.json"),
    "dataset": ("README.md", ".huggingface.yaml", "dataset_infos.json"),
}
"""Files that are fetched from every repo together with the list of its files."""
_LIGHT, _FEW, _AT_ONCE = 1_000_000, 20, 8
_LONGEST = 60.0
"""Time limit in seconds for the list of all files of a repo; the client sets none."""
_LISTED = 100
"""Number of files above which the client requests the list itself, with each file's storage."""


def resolve(repo_id: str, revision: str | None, repo_type: RepoType) -> Found:
    """Resolve a branch, tag or commit of a Hub repo to its present commit and files; if the Hub
    does not answer, to the commit from the cache. Each run asks the Hub once.

    Raises:
        RequestError: no such repo or revision, no access, a rejected token, or no answer and
            nothing in the cache.
    """
    key = "resolved", repo_type, repo_id, revision
    return once(key, lambda: _resolved(repo_id, revision, repo_type))


def about(repo_id: str, repo_type: RepoType) -> Any:
    """The Hub's `ModelInfo` or `DatasetInfo` of a repo, for a revision if this run has requested
    one; None if no such repo is visible. Errors of the client are not changed.
    """

    def ask() -> Any:
        try:
            return hub.HfApi().repo_info(repo_id, repo_type=repo_type)
        except hub.errors.RepositoryNotFoundError:
            return None

    return once(("about", repo_type, repo_id), ask)


def _resolved(repo_id: str, revision: str | None, repo_type: RepoType) -> Found:
    with hub_errors(repo_id, revision, repo_type):
        commit, info = _asked(repo_id, revision, repo_type)
        folder = _folder(repo_id, repo_type, commit)
        found = Found(repo_id, repo_type, commit, info is not None, folder)
        if info is None:
            fetch(found, ())
        else:
            once(("about", repo_type, repo_id), lambda: info)
            _keep_list(found, info)
        if (sizes := _sizes(found)) is not None:
            found = replace(found, files=tuple(sizes), sizes=sizes)
        else:
            there = (p for p in folder.rglob("*") if p.is_file() or p.is_symlink())  # or was
            files = tuple(p.relative_to(folder).as_posix() for p in there)
            found = replace(found, files=files, listed=False)
    fetch(found, [name for name in SMALL_FILES[repo_type] if name in found.files])
    return found


def _asked(repo_id: str, revision: str | None, repo_type: RepoType) -> tuple[str, Any]:
    """The commit and its info from the Hub; the info is None if the Hub does not answer and the
    cache knows the commit. Requests are retried if it does not.
    """
    known = _is_known(repo_id, revision, repo_type)

    def passes(error: BaseException) -> bool:
        return is_unreachable(error) and (not known or status_of(error) is not None)

    answers: list[Any] = []
    wait: dict[str, Any] = {"timeout": _LONGEST, "files_metadata": True}

    class Asking(hub.HfApi):
        """A client that keeps the info of its last request."""

        def repo_info(self, *args: Any, **how: Any) -> Any:
            ask = partial(super().repo_info, *args, **{**wait, **how})
            answers.append(again(ask, f"{repo_type} {repo_id}", passes=passes))
            return answers[-1]

    api = Asking()
    commit = api.resolve_revision(repo_id, repo_type=repo_type, revision=revision)
    if not answers and commit.initial == commit.resolved:  # a commit was given, nothing asked
        try:
            api.repo_info(repo_id, repo_type=repo_type, revision=commit.resolved)
        except Exception as error:  # of several libraries
            if not is_unreachable(error):
                raise
    return commit.resolved, answers[-1] if answers else None


def _is_known(repo_id: str, revision: str | None, repo_type: RepoType) -> bool:
    """Return whether the cache has a folder of the last known commit of a revision."""
    try:
        last = hub.resolve_revision(
            repo_id, repo_type=repo_type, revision=revision, local_files_only=True
        )
    except hub.errors.RevisionResolutionError:
        return False
    return _folder(repo_id, repo_type, last.resolved).is_dir()


def _folder(repo_id: str, repo_type: RepoType, commit: str) -> Path:
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    cache = Path(constants.HF_HUB_CACHE).expanduser().resolve()
    return cache / repo_folder_name(repo_id=repo_id, repo_type=repo_type) / "snapshots" / commit


def _sizes(found: Found) -> dict[str, int] | None:
    """The size of each file, if the client's cache has the list of them."""
    how = {"repo_type": found.repo_type, "revision": found.commit}
    try:
        return {one.path: one.size for one in hub.get_cached_repo_tree(found.repo_id, **how)}
    except hub.errors.CachedRepoTreeNotFoundError:
        return None


def _keep_list(found: Found, info: Any) -> None:
    """Make sure that the client's cache has the list of files, and a folder for them."""
    found.folder.mkdir(parents=True, exist_ok=True)
    siblings = info.siblings or []
    if _sizes(found) is None:
        told = all(None not in (one.size, one.blob_id) for one in siblings)
        if len(siblings) > _LISTED or not told or not _write_list(found, siblings):
            _from_client(found, [])


def _write_list(found: Found, siblings: Sequence[Any]) -> bool:
    """Write the list of files to the client's cache, which saves a request, if it has one."""
    try:
        from huggingface_hub._tree_cache import (  # private, as there is no public function for it
            TreeCacheEntry,
            write_tree_cache,
        )
    except ImportError:
        return False
    entries = {
        one.rfilename: TreeCacheEntry(
            size=one.size,
            blob_id=one.blob_id,
            lfs_sha256=one.lfs.sha256 if one.lfs else None,
            lfs_size=one.lfs.size if one.lfs else None,
        )
        for one in siblings
    }
    write_tree_cache(str(found.folder.parent.parent), found.commit, entries)
    return True


def fetch(found: Found, files: Sequence[str]) -> Path:
    """Fetch files of a commit into the Hub's cache, unless they are there, and return their folder.

    Raises:
        RequestError: the Hub refuses a file, or does not answer and not all files are in the cache.
    """
    if not found.reachable:
        return _cached(found, files)
    with hub_errors(found.repo_id, found.commit, found.repo_type):
        lacking = [name for name in files if not (found.folder / name).exists()]
        light = [name for name in lacking if _is_light(found, name)]
        if 0 < len(light) <= _FEW:
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                again(lambda: list(pool.map(partial(_get, found), light)), found.called)
            lacking = [name for name in lacking if name not in light]
        if lacking:
            again(lambda: _from_client(found, lacking), found.called)
    return found.folder


def _cached(found: Found, files: Sequence[str]) -> Path:
    with hub_errors(found.repo_id, found.commit, found.repo_type):
        if not found.folder.is_dir():
            raise hub.errors.LocalEntryNotFoundError(found.called)
    owed = [name for name in files if name in found.files or not found.listed]
    lacking = [name for name in owed if not (found.folder / name).is_file()]
    if found.files and lacking:
        raise not_cached(found, lacking)
    return found.folder


def _from_client(found: Found, files: Sequence[str]) -> None:
    """Fetch files with the client, which makes two requests each."""
    hub.snapshot_download(
        found.repo_id,
        repo_type=found.repo_type,
        revision=found.commit,
        allow_patterns=patterns_of(files, found.files),
    )


def _is_light(found: Found, name: str) -> bool:
    """Return whether a file is small enough for one request, and its path stays in its folder."""
    path = PureWindowsPath(name)  # the stricter kind
    plain = not path.is_absolute() and not path.drive and ".." not in path.parts
    return plain and found.sizes.get(name, math.inf) <= _LIGHT


def _get(found: Found, name: str) -> None:
    """Fetch a small file in one request, where the client makes two, to a plain file in its cache,
    as the client itself does on file systems without links.
    """
    from huggingface_hub.utils import build_hf_headers

    seconds = hub.constants.HF_HUB_DOWNLOAD_TIMEOUT
    path = found.folder / name
    if path.exists():
        return
    url = hub.hf_hub_url(found.repo_id, name, repo_type=found.repo_type, revision=found.commit)
    answer = hub.get_session().get(url, headers=build_hf_headers(), timeout=seconds)
    hub.hf_raise_for_status(answer)
    if len(answer.content) != found.sizes[name]:
        raise ConnectionError(f"{name} came with {len(answer.content)} bytes")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{uuid4().hex}.incomplete")
    try:
        part.write_bytes(answer.content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
