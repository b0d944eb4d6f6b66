"""Writing to a repo on the Hub.

A commit is built from the files of its parent commit, so that it can be retried after any error of
the Hub or the network: files that have arrived are found there and are not sent again.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import huggingface_hub as hub
from huggingface_hub.utils.sha import git_hash

from stir_hf.errors import RequestError, RunError
from stir_hf.hub import once, request, storage_errors
from stir_hf.hub.names import Kind

MOST_BYTES, MOST_FILES = 500e6, 100
"""The most bytes and files of a push that is one commit; above, `upload_folder` sends the data
first.
"""


@dataclass(frozen=True)
class Content:
    """The content of a file to be sent: bytes, or a file on disk."""

    source: Path | bytes = field(repr=False)

    def read(self) -> bytes:
        """Return all bytes."""
        return self.source if isinstance(self.source, bytes) else self.source.read_bytes()

    @cached_property
    def size(self) -> int:
        """The number of bytes."""
        source = self.source
        return len(source) if isinstance(source, bytes) else source.stat().st_size

    @cached_property
    def sha256(self) -> str:
        """The hash by which the Hub knows large files."""
        if isinstance(self.source, bytes):
            return hashlib.sha256(self.source).hexdigest()
        with self.source.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class Change:
    """Files that a commit adds or replaces, and files that it removes."""

    files: Mapping[str, Content]
    removed: frozenset[str] = frozenset()


@dataclass(frozen=True)
class State:
    """The files that a repo holds at a commit."""

    repo_id: str
    kind: Kind
    sha: str
    files: Mapping[str, Any] = field(repr=False)
    """`huggingface_hub.RepoFile` by path."""

    def holds(self, path: str, content: Content) -> bool:
        """Return whether the repo has a file with exactly this content."""
        there = self.files.get(path)
        if there is None or there.size != content.size:
            return False
        if there.lfs:
            return bool(there.lfs.sha256 == content.sha256)
        return bool(there.blob_id == git_hash(content.read()))

    def local(self, path: str) -> Path:
        """Return the path of a file in the Hub's cache, fetched if it is not there."""
        found = hub.hf_hub_download(self.repo_id, path, repo_type=self.kind, revision=self.sha)
        return Path(found)

    def read(self, path: str) -> bytes | None:
        """Return the bytes of a file; None if the repo has no such file."""
        return self.local(path).read_bytes() if path in self.files else None

    @property
    def card(self) -> str:
        """The text of the repo's card; empty if it has none.

        Raises:
            RequestError: no UTF-8 text.
        """
        try:
            return (self.read("README.md") or b"").decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise RequestError(
                f"README.md of {self.kind} {self.repo_id} at {self.sha} is no UTF-8 text"
            ) from error


@dataclass(frozen=True)
class Pushed:
    """The outcome of a push."""

    url: str
    changed: bool

    def __str__(self) -> str:
        return f"pushed to {self.url}" if self.changed else f"already there: {self.url}"


@dataclass(frozen=True)
class Repo:
    """A repo to write to."""

    id: str
    kind: Kind = "dataset"

    @cached_property
    def api(self) -> Any:
        """The Hub's client."""
        return hub.HfApi()

    @property
    def called(self) -> str:
        """The name of the repo in messages."""
        return f"{self.kind} {self.id}"

    @property
    def url(self) -> str:
        """The URL of the repo's page."""
        folder = "" if self.kind == "model" else f"{self.kind}s/"
        return f"{self.api.endpoint}/{folder}{self.id}"

    def me(self) -> Any:
        """The owner of the token. The Hub limits this request, so a run makes it once."""
        return once(("me", hub.get_token()), self.api.whoami)

    def create(self, *, private: bool | None, **more: Any) -> None:
        """Create the repo, unless it exists.

        Raises:
            RunError: the Hub refuses, or is away for longer than STIR_HF_HUB_TIMEOUT.
        """
        how = {"repo_type": self.kind, "private": private, "exist_ok": True, **more}
        try:
            request(lambda: self.api.create_repo(self.id, **how), self.called)
        except KeyError as error:  # the client's: a conflict that names no repo
            if Repo(self.id, self.kind).is_private() is None:
                raise RunError(
                    f"the Hub has something else in the place of {self.called}, and does not say"
                    " what; give another name"
                ) from error

    @cached_property
    def info(self) -> Any:
        """The Hub's first answer about this repo; None if there is no such repo."""
        try:
            return request(lambda: self.api.repo_info(self.id, repo_type=self.kind), self.called)
        except RunError as error:
            if isinstance(error.__cause__, hub.errors.RepositoryNotFoundError):
                return None
            raise

    def is_private(self) -> bool | None:
        """Return whether the repo is private; None if there is no such repo."""
        return None if self.info is None else bool(self.info.private)

    def renamed(self) -> "Repo":
        """Return the repo under its present name. The Hub redirects the old name of a renamed repo,
        until another repo takes that name.
        """
        there = self.info is None or self.info.id == self.id
        return self if there else Repo(self.info.id, self.kind)

    def state(self, revision: str = "main") -> State:
        """Return the files that the repo holds now."""
        sha = self.api.repo_info(self.id, repo_type=self.kind, revision=revision).sha
        tree = self.api.list_repo_tree(self.id, repo_type=self.kind, revision=sha, recursive=True)
        return State(self.id, self.kind, sha, {f.path: f for f in tree if hasattr(f, "blob_id")})

    def put(
        self, build: Callable[[State], Change], title: str, *, create_pr: bool = False
    ) -> Pushed:
        """Make the changes that `build` asks for, given the files of the repo, in one commit or
        pull request. Each retry calls it again, and finds its pull request by the title.

        Raises:
            RunError: the Hub refuses, or is away for longer than STIR_HF_HUB_TIMEOUT.
        """
        sent: list[str] = []

        def attempt() -> Pushed:
            pull = self._own_pull(title) if create_pr else None
            how = {"revision": pull, "create_pr": create_pr and pull is None}
            to = {"commit_message": title, "repo_type": self.kind, **how}
            return self._put(build, to, sent)

        try:
            return request(attempt, self.called)
        except RunError as error:
            if not sent:
                raise
            told = "files were sent; repeat the command to finish"
            raise RunError(f"{error}; {len(sent)} {told}") from error.__cause__

    def _put(
        self, build: Callable[[State], Change], to: Mapping[str, Any], sent: list[str]
    ) -> Pushed:
        """Make the changes once; `sent` gets the files that are sent before their commit."""
        pull = to["revision"]
        state = self.state(pull or "main")
        change = build(state)
        new = {p: c for p, c in sorted(change.files.items()) if not state.holds(p, c)}
        gone = sorted(change.removed & set(state.files))
        if not new and not gone:
            return Pushed(self._page(pull), False)
        data = {p: c.source for p, c in new.items() if isinstance(c.source, Path)}
        if data and (len(new) > MOST_FILES or sum(c.size for c in new.values()) > MOST_BYTES):
            ahead = self._send_ahead(data, to)
            sent += data
            pull = pull or getattr(ahead, "pr_revision", None)
            to = {**to, "revision": pull, "create_pr": to["create_pr"] and pull is None}
            return replace(self._put(build, to, sent), changed=True)
        steps: list[Any] = [hub.CommitOperationAdd(path, c.source) for path, c in new.items()]
        steps += [hub.CommitOperationDelete(path) for path in gone]
        with storage_errors():
            info = self.api.create_commit(self.id, steps, parent_commit=state.sha, **to)
        return Pushed(getattr(info, "pr_url", None) or self._page(pull), True)

    def _send_ahead(self, data: Mapping[str, Path], to: Mapping[str, Any]) -> Any:
        """Send data before the commit whose card lists it; return the last commit of the data."""
        with TemporaryDirectory(prefix="stir-hf-") as staged, storage_errors():
            for path, source in data.items():
                target = Path(staged) / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(source.resolve())
            return self.api.upload_folder(repo_id=self.id, folder_path=staged, **to)

    def _own_pull(self, title: str) -> str | None:
        """The revision of an open pull request of this title that this token's owner made."""
        me = self.me()["name"]
        for one in self.api.get_repo_discussions(
            self.id, repo_type=self.kind, author=me, discussion_type="pull_request"
        ):
            mine = one.is_pull_request and one.author == me and one.title == title
            if mine and one.status in ("open", "draft"):
                return f"refs/pr/{one.num}"
        return None

    def _page(self, pull: str | None) -> str:
        return f"{self.url}/discussions/{pull.rpartition('/')[2]}" if pull else self.url
