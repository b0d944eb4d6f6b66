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
    """True where the Hub gave an answer; else the cache is all there is."""
    folder: Path = Path()
    """The folder in the Hub's cache of its small files and of those that `fetch` adds."""
    files: tuple[str, ...] = ()
    """The names of all its files; of those in the cache, where that is all that is known."""
    listed: bool = True
    """True where all are named."""
    light: Mapping[str, int] = field(default_factory=dict)
    """The files that are small enough to be fetched in one request each, with their sizes."""

    @property
    def url(self) -> str:
        """The address at which `huggingface_hub.HfFileSystem` finds the files of a dataset."""
        return f"hf://datasets/{self.repo_id}@{self.commit}"

    @property
    def called(self) -> str:
        """Its name in messages."""
        return f"{self.repo_type} {self.repo_id}"
