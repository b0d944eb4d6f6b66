"""The score files of a repo and of a push, for its card."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from stir_hf.errors import RequestError
from stir_hf.publish.repo import Content, State
from stir_hf.publish.scores import FOLDER, LARGEST, read, too_large
from stir_hf.report.cards import Row

_log = logging.getLogger("stir_hf")
MOST_READ = 300
"""Maximum number of other score files that a push fetches for the card."""


def is_score(path: str) -> bool:
    """Return whether a path is that of a score file."""
    folder, _, name = path.rpartition("/")
    return folder == FOLDER and name.endswith(".parquet")


@dataclass(frozen=True)
class ScoreFiles:
    """The score files of a repo and of a push; each is read once, even if the push is retried."""

    ours: Mapping[str, tuple[Content, Row]]
    """The files of the push, by path."""
    _read: dict[str, Row | None] = field(default_factory=dict, repr=False)

    def rows(self, state: State) -> tuple[list[Row], int]:
        """Return the rows of existing and new files, and the number of files that were not read
        since there are too many. A file that cannot be read is left out and named in the log.
        """
        same = {p for p, (content, _) in self.ours.items() if state.holds(p, content)}
        theirs = sorted({p for p in state.files if is_score(p)} - same)
        mine = [row for p, (_, row) in self.ours.items() if p in same or p not in state.files]
        there = [self._row(state, path) for path in theirs[:MOST_READ]]
        return [*mine, *(row for row in there if row is not None)], len(theirs[MOST_READ:])

    def _row(self, state: State, path: str) -> Row | None:
        file, whose = state.files[path], f"dataset {state.repo_id}"
        key = f"{path} {file.blob_id}"
        if key not in self._read:
            try:
                if file.size > LARGEST:
                    raise RequestError(f"{path} of {whose} cannot be used: {too_large(file.size)}")
                self._read[key] = read(state.local(path), whose)
            except RequestError as error:
                _log.warning("left out of the card: %s", error)
                self._read[key] = None
        return self._read[key]
