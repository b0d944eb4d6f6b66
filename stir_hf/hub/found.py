"""A repo of the Hub at one commit."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

RepoType = Literal["model", "dataset"]


@dataclass(frozen=True)
class Found:
    """A repo of the Hub at one commit."""

    repo_id: str
    repo_type: RepoType
    commit: str
    reachable: bool
    """True if the Hub answered; otherwise only the cache is available."""
    folder: Path = Path()
    """The folder in the Hub's cache with its small files, to which `fetch` adds others."""
    files: tuple[str, ...] = ()
    """The names of all files, or of those in the cache if no others are known."""
    listed: bool = True
    """True if `files` is complete."""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """The bytes of each file; empty if they are not known."""

    @property
    def url(self) -> str:
        """The address at which `huggingface_hub.HfFileSystem` finds the files of a dataset."""
        return f"hf://datasets/{self.repo_id}@{self.commit}"

    @property
    def called(self) -> str:
        """The name of the repo in messages."""
        return f"{self.repo_type} {self.repo_id}"
