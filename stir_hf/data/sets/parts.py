"""Parts of an inversion set that were made in separate folders, and their merge."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from stir_hf.data.files.rows import Rows
from stir_hf.data.files.shards import compact, copied, files_of, give_way
from stir_hf.data.files.stored import reading
from stir_hf.data.identity import data_order
from stir_hf.data.sets import part_sources as sources
from stir_hf.data.sets.folder import SETS, claimed, places, writable
from stir_hf.data.sets.located import find_sets
from stir_hf.data.sets.manifest import FILE_NAME, Manifest
from stir_hf.data.sets.prefix import WHOLE
from stir_hf.errors import RequestError
from stir_hf.registry import option


@dataclass(frozen=True)
class PartConfig:
    """The part of a set that a run makes, when several runs share a set without a common folder."""

    part: str | None = option(
        None,
        "Make only the I-th of N parts, in its own folder; `stir-hf merge` joins the parts.",
        metavar="I/N",
    )

    def __post_init__(self) -> None:
        if self.part is None:
            return
        found = re.fullmatch(r"(\d+)/(\d+)", str(self.part))
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            raise RequestError(
                f"part must be I/N, such as 1/4, the first of four parts, not {self.part!r}"
            )

    @property
    def positions(self) -> slice:
        """The positions of the part among all requested samples: every N-th."""
        if self.part is None:
            return WHOLE
        number, parts = map(int, self.part.split("/"))
        return slice(number - 1, None, parts)


def merge(folders: Sequence[str | os.PathLike[str]], out: str | os.PathLike[str]) -> list[Path]:
    """Join the sets of several folders in another folder and return their paths there; the input
    folders are not changed.

    Copies of a row count once. The finished prefix is the largest one, in the order of the data,
    that has all its rows.

    Args:
        folders: folders of runs or of sets.
        out: the folder for the joined sets; rows from an earlier merge are kept.

    Raises:
        RequestError: a folder without inversions, or with another identity than the others; a set
            without its first original.
    """
    target = writable(Path(out))
    there = [
        {Manifest.read(path).hash: path for path in find_sets(Path(folder))} for folder in folders
    ]
    for folder, sets in zip(folders, there, strict=True):
        if set(sets) != set(there[0]):
            names = [", ".join(path.name for path in one.values()) for one in (there[0], sets)]
            raise RequestError(
                f"{folder} holds {names[1]}, and {folders[0]} {names[0]}: parts of one run have the"
                " same sets"
            )
    firsts = {digest: Manifest.read(path) for digest, path in there[0].items()}
    with claimed(target):
        made = places(target, firsts)
        return [_joined([one[digest] for one in there], made[digest]) for digest in firsts]


def merge_one(parts: Sequence[str | os.PathLike[str]], out: Path) -> Path:
    """Join the only set of several folders in another folder and return its path there.

    Raises:
        RequestError: as `merge`; or several sets.
    """
    if not parts:
        raise RequestError("no folders; give those of the parts of one set, or one path")
    names = [path.name for path in find_sets(Path(parts[0]))]
    if len(names) > 1:
        raise RequestError(
            f"{parts[0]} holds {len(names)} inversion sets ({', '.join(names)}); give the folders"
            f" of one of them, such as {Path(parts[0]) / SETS / names[0]}"
        )
    (made,) = merge(parts, out)
    return made


def copy_set(folder: Path, manifest: Manifest, target: Path) -> Path:
    """Copy a set over what a folder holds of it; raises RequestError if it holds another."""
    if target.resolve() == folder.resolve():
        return target
    if (target / FILE_NAME).exists() and Manifest.read(target).hash != manifest.hash:
        raise RequestError(
            f"{target} holds inversions of other models, data or options; choose another folder"
        )
    target.mkdir(parents=True, exist_ok=True)
    there = Manifest.read(folder)  # read first, so that its finished rows are in the files
    give_way(target, reading(lambda: copied(folder, target)))
    there.write(target)
    return target


def _joined(parts: Sequence[Path], folder: Path) -> Path:
    first = Manifest.read(parts[0])
    there = [folder, *parts] if (folder / FILE_NAME).exists() else parts
    manifests = [Manifest.read(path) for path in there]
    for manifest in manifests:
        first.check_continues(manifest, folder)
    samples = reading(lambda: sources.check_same(there))
    folder.mkdir(parents=True, exist_ok=True)
    with _as_before_a_failure(folder):
        for part in parts:
            reading(partial(copied, part, folder, as_parts=True))
        compact(folder)
        count, draws = _finished(Rows(files_of(folder)), first)
        if not count:
            raise RequestError(
                f"{first.slug}: no folder contains its first sample; add the folder of part 1"
            )
    sources.keep(folder, samples)
    runs = {str(run): run for manifest in manifests for run in manifest.runs}
    whole = replace(first, complete=None, runs=tuple(runs.values()))
    whole.finished(count, draws).write(folder)
    return folder


@contextmanager
def _as_before_a_failure(folder: Path) -> Iterator[None]:
    """After a failure, remove the new files, provided that all earlier files still exist."""
    before = set(files_of(folder))
    try:
        yield
    except BaseException:
        now = set(files_of(folder))
        for path in now - before if before <= now else ():
            path.unlink(missing_ok=True)
        if not (before or any(folder.iterdir())):
            folder.rmdir()
        raise


def _finished(rows: Rows, manifest: Manifest) -> tuple[int, int]:
    """The numbers of originals and draws of the largest prefix that has all its rows."""
    index, draw = rows.columns("index", "draw")
    data = manifest.identity["data"]
    most = len(index) if data["rows"] is None else int(data["rows"])
    order = data_order(data, most)
    count, draws = 0, 0
    for k in range(int(draw.max(initial=-1)) + 1):
        there = np.isin(order, index[draw == k])
        prefix = len(order) if there.all() else int(there.argmin())
        if k == 0:
            count = prefix
        elif prefix < count:
            break
        draws = k + 1
    return count, draws
