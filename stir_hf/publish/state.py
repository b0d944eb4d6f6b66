"""The files of a repo on the Hub, and a change to them."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

Kind = Literal["model", "dataset", "space"]


class Content:
    """The content of a file to send: bytes, or a file on disk."""

    def __init__(self, source: Path | bytes) -> None:
        self.source = source

    def read(self) -> bytes:
        """Return all bytes."""
        return self.source if isinstance(self.source, bytes) else self.source.read_bytes()

    @cached_property
    def size(self) -> int:
        """The number of bytes."""
        source = self.source
        return len(source) if isinstance(source, bytes) else source.stat().st_size

    @cached_property
    def digests(self) -> tuple[str, str]:
        """SHA-256 and git's hash, by which the Hub identifies large and other files."""
        sha256, git = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % self.size)
        if isinstance(self.source, bytes):
            parts: Iterator[bytes] = iter([self.source])
        else:
            parts = _parts(self.source)
        for part in parts:
            sha256.update(part)
            git.update(part)
        return sha256.hexdigest(), git.hexdigest()


def _parts(path: Path, size: int = 1 << 20) -> Iterator[bytes]:
    with path.open("rb") as file:
        while part := file.read(size):
            yield part


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
        sha256, git = content.digests
        return bool(there.lfs.sha256 == sha256 if there.lfs else there.blob_id == git)

    def local(self, path: str) -> Path:
        """Return the path of a file in the Hub's cache, fetched if it is not there."""
        import huggingface_hub as hub

        found = hub.hf_hub_download(self.repo_id, path, repo_type=self.kind, revision=self.sha)
        return Path(found)

    def read(self, path: str) -> bytes | None:
        """Return the bytes of a file; None if the repo has no such file."""
        return self.local(path).read_bytes() if path in self.files else None


Build = Callable[[State], Change]
