"""The state of the stand-in Hub: users, repos with their commits and pull requests, LFS objects,
faults to come.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

LFS_ENDINGS = (".parquet", ".safetensors", ".bin", ".arrow", ".png")


class RefusedError(Exception):
    """An answer other than 2xx, as the Hub words it."""

    def __init__(self, status: int, text: str, code: str = "", **headers: str) -> None:
        super().__init__(text)
        self.status = status
        self.headers = (
            {"X-Error-Message": text} | ({"X-Error-Code": code} if code else {}) | headers
        )


@dataclass(frozen=True)
class Fault:
    """What happens to the next request whose method and path match.

    With `status` or `drop` (close the connection unanswered) the request takes effect only with
    `after`. `truncate` sends that many bytes of the body and closes. `action` is first called, in
    a thread.
    """

    method: str
    path: str
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    after: bool = False
    drop: bool = False
    delay: float = 0.0
    truncate: int | None = None
    action: Callable[[], object] | None = None
    storage: bool = False
    said: str = ""
    """The Hub's sentence."""
    body: Mapping[str, Any] | None = None
    """The answer, in the place of that sentence."""

    def matches(self, method: str, path: str, storage: bool) -> bool:
        return (self.method, self.storage) == (method, storage) and re.search(
            self.path, path
        ) is not None

    @property
    def lets_through(self) -> bool:
        """Whether the request has its effect."""
        return self.after or (self.status is None and not self.drop)


@dataclass(frozen=True)
class Blob:
    """What a file holds."""

    data: bytes
    lfs: bool = False

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @property
    def oid(self) -> str:
        """Git's hash of the content, or of the pointer to it."""
        version = "version https://git-lfs.github.com/spec/v1"
        pointer = f"{version}\noid sha256:{self.sha256}\nsize {len(self.data)}\n"
        content = pointer.encode() if self.lfs else self.data
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()

    def entry(self, path: str) -> dict[str, Any]:
        lfs = (
            {"lfs": {"oid": self.sha256, "size": len(self.data), "pointerSize": 130}}
            if self.lfs
            else {}
        )
        return {"type": "file", "path": path, "size": len(self.data), "oid": self.oid, **lfs}

    def sibling(self, path: str, *, blobs: bool) -> dict[str, Any]:
        """What the answer about a repo says of a file, with `blobs=true` all of it."""
        size, lfs = len(self.data), {"lfs": {"sha256": self.sha256, "pointerSize": 130}}
        lfs["lfs"] |= {"size": size}
        all_of_it = {"size": size, "blobId": self.oid} | (lfs if self.lfs else {})
        return {"rfilename": path} | (all_of_it if blobs else {})


def goes_to_lfs(path: str, sample: bytes) -> bool:
    return path.endswith(LFS_ENDINGS) or b"\0" in sample


@dataclass(frozen=True)
class Commit:
    """A state of all files."""

    sha: str
    title: str
    message: str
    author: str
    parent: str | None
    files: Mapping[str, Blob]
    date: str = field(
        default_factory=lambda: datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    )


@dataclass
class Repo:
    """One repo; `refs` has full names such as `refs/heads/main`."""

    kind: str
    id: str
    private: bool = False
    gated: bool = False
    history: dict[str, Commit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    pulls: list[Commit] = field(default_factory=list)

    @property
    def namespace(self) -> str:
        return self.id.partition("/")[0]

    @property
    def address(self) -> str:
        """The path of its pages."""
        return self.id if self.kind == "model" else f"{self.kind}s/{self.id}"

    def ref(self, revision: str) -> str | None:
        """The full name of a branch or pull request."""
        return next((ref for ref in (f"refs/heads/{revision}", revision) if ref in self.refs), None)

    def at(self, revision: str) -> Commit:
        """The commit that a branch, pull request or hash means."""
        found = self.history.get(self.refs.get(self.ref(revision) or "", revision))
        if found is None:
            raise RefusedError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return found

    def commits(self, revision: str = "main") -> list[Commit]:
        """From the newest back to the first."""
        found = [self.at(revision)]
        while found[-1].parent:
            found.append(self.history[found[-1].parent])
        return found

    def commit(
        self,
        ref: str,
        title: str,
        changes: Mapping[str, Blob | None],
        author: str = "",
        message: str = "",
        onto: str = "",
    ) -> Commit:
        """A new commit on a full ref, which need not exist. Every call makes one, even when
        nothing changes.
        """
        parent = self.at(onto or ref) if onto or ref in self.refs else None
        merged: dict[str, Blob | None] = {**(parent.files if parent else {}), **changes}
        files = {path: blob for path, blob in sorted(merged.items()) if blob is not None}
        told = [self.kind, self.id, title, len(self.history), *files]
        told += [blob.sha256 for blob in files.values()]
        sha = hashlib.sha1(repr(told).encode()).hexdigest()
        self.history[sha] = Commit(
            sha, title, message, author, parent.sha if parent else None, files
        )
        self.refs[ref] = sha
        return self.history[sha]


def card_data(text: str) -> dict[str, Any]:
    """The YAML at the head of a card; raises yaml.YAMLError."""
    found = re.match(r"\s*---\r?\n(.*?)\r?\n?---(\r?\n|$)", text, re.DOTALL)
    data = yaml.safe_load(found[1]) if found else None
    return data if isinstance(data, dict) else {}


class StandInHub:
    """Repos of each kind ("model", "dataset", "space"); `url` is what HF_ENDPOINT must be."""

    def __init__(self, users: Mapping[str, str]) -> None:
        self.url = self.storage_url = ""
        self.users = users  # token to user
        self.repos: dict[tuple[str, str], Repo] = {}
        self.storage: dict[str, bytes] = {}
        self.seen: list[str] = []
        self.faults: list[Fault] = []
        self.names: dict[str, str] = {}  # old to new, of repos that were renamed
        self.tokens: dict[str, dict[str, Any]] = {}  # what a token may, where not everything
        self.orgs: dict[str, list[dict[str, Any]]] = {}  # of users, as `whoami` tells them

    def clear(self) -> None:
        """Forget all repos, requests and faults."""
        self.faults.clear()
        self.seen.clear()
        for held in (self.repos, self.storage, self.names, self.tokens, self.orgs):
            held.clear()

    def repo(self, kind: str, repo_id: str) -> Repo:
        return self.repos[kind, repo_id]

    def add(
        self,
        kind: str,
        repo_id: str,
        files: Mapping[str, bytes] | Path,
        branch: str = "main",
        private: bool = False,
        gated: bool = False,
    ) -> str:
        """Commit files or a folder at once, without the API, to a repo made if need be; the
        commit's hash.
        """
        if isinstance(files, Path):
            files = {
                p.relative_to(files).as_posix(): p.read_bytes()
                for p in files.rglob("*")
                if p.is_file()
            }
        blobs = {path: Blob(data, goes_to_lfs(path, data[:512])) for path, data in files.items()}
        self.storage |= {blob.sha256: blob.data for blob in blobs.values() if blob.lfs}
        repo = self.repos.setdefault((kind, repo_id), Repo(kind, repo_id, private, gated))
        return repo.commit(f"refs/heads/{branch}", "Another writer", blobs, repo.namespace).sha

    def rename(self, kind: str, old: str, new: str) -> None:
        """Give a repo another name; the old one leads there."""
        repo = self.repos.pop((kind, old))
        repo.id = new
        self.repos[kind, new], self.names[old] = repo, new

    def counts(self, before: int = 0) -> dict[str, int]:
        """How often each method was used of each path, commits and objects by no name, since
        `before` requests.
        """
        shapes = (re.sub(r"[0-9a-f]{40,64}", "…", line) for line in self.seen[before:])
        return dict(Counter(shapes).most_common())

    def results(self, dataset_id: str) -> Iterator[tuple[Repo, str, int | None, dict[str, Any]]]:
        """The entries of model repos for a dataset: repo, file, pull request, entry."""
        for repo in [repo for repo in self.repos.values() if repo.kind == "model"]:
            heads = {repo.ref("main"): None} | {
                f"refs/pr/{n}": n for n in range(1, len(repo.pulls) + 1)
            }
            for ref, pull in heads.items():
                for path, blob in repo.at(str(ref)).files.items():
                    if path.startswith(".eval_results/"):
                        for entry in yaml.safe_load(blob.data):
                            if entry["dataset"]["id"] == dataset_id:
                                yield repo, path, pull, entry

    def visible(self, kind: str, repo_id: str, user: str | None) -> Repo:
        """The repo, if this user may see it."""
        repo = self.repos.get((kind, repo_id))
        if repo is None or (repo.private and user != repo.namespace):
            raise RefusedError(404 if user else 401, "Repository not found", "RepoNotFound")
        return repo
