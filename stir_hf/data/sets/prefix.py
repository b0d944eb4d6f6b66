"""The finished rows of an inversion set: a prefix in the order of the data."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stir_hf.data.files.broken import BrokenError
from stir_hf.data.files.rows import STATUSES, UNREADABLE, Rows, first_of_each
from stir_hf.data.files.shards import files_of
from stir_hf.data.files.stored import Stored
from stir_hf.data.files.table_checks import TableChecks
from stir_hf.data.identity import data_order
from stir_hf.data.sets.manifest import Manifest
from stir_hf.errors import RequestError

WHOLE = slice(None)
"""All positions of a prefix, instead of a part."""


@dataclass(frozen=True)
class Prefix:
    """A prefix of the set in a folder, or a part of that prefix."""

    folder: Path
    manifest: Manifest
    num_samples: int
    draws: int
    part: slice = field(default_factory=lambda: WHOLE)
    """Positions in the prefix."""
    called: str | None = None
    """Name of the set in messages, if it is from the Hub."""

    def selected(self) -> dict[str, Any]:
        """The rows, each (index, draw) once, without the originals that were left out."""
        rows = Rows(files_of(self.folder))
        first, columns = self.numbers(rows)
        index, draw, status = columns["index"], columns["draw"], columns["status"]
        left_out = first[status[first] >= STATUSES.index("not_finite")]
        bad = {int(index[i]): STATUSES[status[i]] for i in left_out}
        kept = first[~np.isin(index[first], sorted(bad))]
        error = np.asarray(columns["relative_error"], np.float32)[kept]
        keys = np.stack((index[kept], draw[kept].astype(np.int64)), axis=1)
        return {
            "stored": Stored(self.folder, (rows, kept), keys, error, self.called),
            "index": index[kept],
            "draw": draw[kept],
            "relative_error": error,
            "converged": status[kept] == STATUSES.index("converged"),
            "left_out": bad,
        }

    def numbers(self, rows: Rows) -> tuple[NDArray[np.int64], dict[str, NDArray[Any]]]:
        """The numbers (n,) among the rows of all files, each (index, draw) once, including
        originals that were left out; and the small columns of all rows, as in `TableChecks`.

        Raises:
            BrokenError: files or rows that the set cannot have.
            RequestError: the prefix is not complete.
        """
        name = self.called or str(self.folder)
        checks = TableChecks(name, self.manifest, rows)
        checks.check_files()
        data, num_samples = self.manifest.identity["data"], self.num_samples
        first_row, end = data.get("slice") or (0, data["rows"] or num_samples)
        if end - first_row < num_samples:
            raise RequestError(
                f"{num_samples} {checks.kind.name}s requested, but the split of {name} has"
                f" {end - first_row}"
            )
        self._check_there(len(rows))
        wanted = data_order(data, num_samples)
        checks.check_small()
        index, draw, status, _ = checks.columns.values()
        first = first_of_each(index, draw, status)
        checks.check_copies(first)
        first = first[np.isin(index[first], wanted[self.part]) & (draw[first] < self.draws)]
        self._check_there(len(first))
        seen = first[status[first] != STATUSES.index(UNREADABLE)]
        checks.check_hashes(seen, dict(zip(wanted.tolist(), data["first"], strict=False)))
        return first, checks.columns

    def _check_there(self, there: int) -> None:
        """Raise if there are fewer rows than requested."""
        count = len(range(self.num_samples)[self.part]) * self.draws
        if there >= count:
            return
        told, finished = f"holds {there} of {count} inversions", "none"
        if (done := self.manifest.complete) is not None:
            if self.called is not None and count <= done["num_samples"] * done["draws"]:
                raise BrokenError(self.called, f"it {told}")
            kind = self.manifest.identity["canvas"]["kind"]
            finished = f"{done['num_samples']} {kind}s, {done['draws']} draws"
        raise RequestError(
            f"{self.called or self.folder} {told} (finished: {finished}); run its command again to"
            " continue it"
        )
