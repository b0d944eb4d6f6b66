"""Writing to a repo on the Hub.

A commit is built from the files of its parent commit, so that it can be retried after any error of
the Hub or the network: files that have arrived are found there and are not sent again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from stir_hf.errors import RunError
from stir_hf.hub import once, request, storage_errors
from stir_hf.publish.state import Build, Content, Kind, State


@dataclass(frozen=True)
class Limits:
    """The largest push that is one commit; above, `upload_folder` sends the data first."""

    megabytes: float = 500
    files: int = 100


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
        import huggingface_hub as hub

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

    @property
    def namespace(self) -> str:
        """The user or organisation that owns it."""
        return self.id.partition("/")[0]

    def me(self) -> Any:
        """The owner of the token. The Hub limits this request, so a run makes it once."""
        import huggingface_hub as hub

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
        import huggingface_hub as hub

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
        info = self.api.repo_info(self.id, repo_type=self.kind, revision=revision)
        tree = self.api.list_repo_tree(
            self.id, repo_type=self.kind, revision=info.sha, recursive=True
        )
        return State(
            self.id, self.kind, info.sha, {f.path: f for f in tree if hasattr(f, "blob_id")}
        )

    def put(
        self,
        build: Build,
        title: str,
        *,
        create_pr: bool = False,
        limits: Limits | None = None,
    ) -> Pushed:
        """Make the changes that `build` asks for, in one commit that may be retried.

        Args:
            build: a function from the files of the repo to the change; each retry calls it again.
            title: of the commit or pull request; a retry finds its pull request by it.
            create_pr: open a pull request.
            limits: the largest push that is one commit.

        Raises:
            RunError: the Hub refuses, or is away for longer than STIR_HF_HUB_TIMEOUT.
        """
        sent: list[str] = []
        try:
            return request(
                lambda: self._put(build, title, create_pr, limits or Limits(), sent), self.called
            )
        except RunError as error:
            if not sent:
                raise
            told = (
                f"{error}; {len(sent)} files are there already and count when the card lists them"
            )
            raise RunError(told) from error.__cause__

    def _put(
        self,
        build: Build,
        title: str,
        create_pr: bool,
        limits: Limits,
        sent: list[str],
        pull: str | None = None,
    ) -> Pushed:
        pull = pull or (self._own_pull(title) if create_pr else None)
        state = self.state(pull or "main")
        change = build(state)
        new = {p: c for p, c in change.files.items() if not state.holds(p, c)}
        gone = sorted(change.removed & set(state.files))
        if not new and not gone:
            return Pushed(self._page(pull), False)
        heavy = {p: c for p, c in new.items() if isinstance(c.source, Path)}
        size = sum(c.size for c in new.values())
        if heavy and (len(new) > limits.files or size > limits.megabytes * 1e6):
            ahead = self._ahead(heavy, title, pull, create_pr=create_pr)
            sent += heavy
            pull = pull or getattr(ahead, "pr_revision", None)
            return replace(self._put(build, title, create_pr, limits, sent, pull), changed=True)
        with storage_errors():
            info = self._commit(new, gone, title, state, pull, create_pr)
        return Pushed(getattr(info, "pr_url", None) or self._page(pull), True)

    def _commit(
        self,
        new: Mapping[str, Content],
        gone: Sequence[str],
        title: str,
        state: State,
        pull: str | None,
        create_pr: bool,
    ) -> Any:
        import huggingface_hub as hub

        added = [
            hub.CommitOperationAdd(p, c.source if isinstance(c.source, bytes) else str(c.source))
            for p, c in sorted(new.items())
        ]
        return self.api.create_commit(
            self.id,
            [*added, *(hub.CommitOperationDelete(path) for path in gone)],
            commit_message=title,
            repo_type=self.kind,
            revision=pull,
            parent_commit=state.sha,
            create_pr=create_pr and pull is None,
        )

    def _ahead(
        self, heavy: Mapping[str, Content], title: str, pull: str | None, *, create_pr: bool
    ) -> Any:
        """Send data before the commit whose card lists it; return the last commit of the data."""
        with TemporaryDirectory(prefix="stir-hf-") as staged, storage_errors():
            for path, content in heavy.items():
                target = Path(staged) / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(Path(str(content.source)).resolve())
            return self.api.upload_folder(
                repo_id=self.id,
                folder_path=staged,
                repo_type=self.kind,
                revision=pull,
                commit_message=title,
                create_pr=create_pr and pull is None,
            )

    def _own_pull(self, title: str) -> str | None:
        """The revision of an open pull request of this title that this token's owner made."""
        me = self.me()["name"]
        found = self.api.get_repo_discussions(
            self.id, repo_type=self.kind, author=me, discussion_type="pull_request"
        )
        for one in found:
            mine = one.is_pull_request and one.author == me and one.title == title
            if mine and one.status in ("open", "draft"):
                return f"refs/pr/{one.num}"
        return None

    def _page(self, pull: str | None) -> str:
        return f"{self.url}/discussions/{pull.rpartition('/')[2]}" if pull else self.url
