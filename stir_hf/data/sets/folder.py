"""The folder of a run: its lock, its inversion sets, and temporary folders."""

import errno
import json
import logging
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from stir_hf.data.sets.manifest import FILE_NAME, Manifest
from stir_hf.errors import RequestError, check_text, closest, one_line
from stir_hf.hub import is_hub_id
from stir_hf.registry import option
from stir_hf.results import FILE_NAME as RESULT
from stir_hf.results import StirResult
from stir_hf.runtime import Processes

SETS = "inversions"
"""Name of the folder of inversion sets in the folder of a run."""

_NO_LOCKS = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOLCK}
"""Error codes of file systems without locks, such as a mounted bucket."""

logger = logging.getLogger(__name__)

_LOCK, _HOLDER = ".stir-hf.lock", ".stir-hf.holder.json"


@dataclass(frozen=True)
class OutputConfig:
    """The folder for results, and the names of local folders in them."""

    out: str | os.PathLike[str] | None = option(
        None,
        "Folder for result.json, figures and inversions; the same command again continues there.",
        metavar="DIR",
    )
    name: str | tuple[str, ...] = option(
        (),
        "Name of a local model or dataset in results, instead of its folder's last name and a hash:"
        " FOLDER=NAME, or NAME alone for the first model. May be given several times.",
        metavar="FOLDER=NAME",
        many=True,
    )

    def __post_init__(self) -> None:
        given: Any = (self.name,) if isinstance(self.name, str) else self.name or ()
        listed = isinstance(given, list | tuple) and all(isinstance(one, str) for one in given)
        if not listed:
            raise RequestError(f"name must be FOLDER=NAME or a list of these, not {self.name!r}")
        object.__setattr__(self, "name", tuple(given))
        if self.out is not None:
            if not isinstance(self.out, str | os.PathLike) or not str(self.out):
                raise RequestError(f"out must be a folder, not {self.out!r}")
            check_text("--out", self.out)
            object.__setattr__(self, "out", Path(self.out).expanduser())

    @property
    def folder(self) -> Path | None:
        """The folder of the run; None if results are not kept."""
        return None if self.out is None else Path(self.out)

    def labels(self, *given: str) -> dict[str, str]:
        """The names, by the argument that they replace (`given`: the models and datasets of the
        command); a name without a folder is at "".

        Raises:
            RequestError: a folder that is not among them.
        """
        found: dict[str, str] = {}
        for text in self.name:
            folder, _, name = text.rpartition("=")
            named = folder or (given[0] if given else "")
            if is_hub_id(named):
                raise RequestError(f"--name {text}: {named} is on the Hub and keeps its name")
            same = [g for g in given if g == folder or _resolved(g) == _resolved(folder)]
            if folder and not same:
                hint = closest(folder, given)
                raise RequestError(f"--name {text}: no model or dataset is {folder}; {hint}")
            found |= dict.fromkeys(same if folder else [""], name)
        return found


def _resolved(folder: str) -> Path:
    return Path(folder).expanduser().resolve()


def writable(folder: Path) -> Path:
    """Return the folder, which need not exist yet.

    Raises:
        RequestError: a file is in the way, or the folder is not writable.
    """
    try:
        whole = folder.expanduser().absolute()
        there = next(path for path in (whole, *whole.parents) if path.exists())
    except (OSError, ValueError, RuntimeError) as error:
        raise RequestError(f"--out {folder} cannot be a folder: {one_line(error)}") from error
    if not there.is_dir():
        raise RequestError(f"--out {folder} cannot be a folder: {there} is a file")
    if not os.access(there, os.W_OK):
        raise RequestError(f"--out {folder}: no permission to write in {there}")
    return whole


def temporary() -> Path:
    """Make a temporary folder, which the caller removes."""
    return Path(tempfile.mkdtemp(prefix="stir-hf-"))


def remove(folder: Path) -> None:
    """Remove a temporary folder; errors are ignored."""
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Lock the folder for one run: its processes share the lock, another run stops at once.

    Raises:
        RequestError: another run is writing there.
    """
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise RequestError(f"--out {folder}: no permission to write there ({error})") from error
    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RequestError(f"another run is writing in {folder}{_holder(folder)}") from None
    except (OSError, NotImplementedError) as error:
        if getattr(error, "errno", errno.ENOSYS) in _NO_LOCKS:
            logger.warning(
                "%s is on a file system without locks: make sure that no other run writes there",
                folder,
            )
            yield
            return
        if made:
            folder.rmdir()
        raise RequestError(f"--out {folder}: no permission to write there ({error})") from error
    try:
        me = {"pid": os.getpid(), "host": socket.gethostname()}
        (folder / _HOLDER).write_text(json.dumps(me), "utf-8")
        yield
    finally:
        (folder / _HOLDER).unlink(missing_ok=True)
        lock.release()


def _holder(folder: Path) -> str:
    try:
        found = json.loads((folder / _HOLDER).read_text("utf-8"))
        return f" (pid {found['pid']}, {found['host']})"
    except (OSError, ValueError, KeyError):
        return ""


def sets_in(folder: Path) -> dict[str, Path]:
    """The sets in the folder of a run, by their hash; raises RequestError for an unreadable one."""
    found = sorted(path.parent for path in (folder / SETS).glob(f"*/{FILE_NAME}"))
    return {Manifest.read(path).hash: path for path in found}


def places(folder: Path, wanted: Mapping[str, Manifest]) -> dict[str, Path]:
    """The folder of each set of a run (`wanted`, by hash), existing or new; an existing one is
    found by its hash, whatever its name.

    Raises:
        RequestError: the folder holds a set of another run, or one of equal hash that was made by
            another network or from other starts.
    """
    there = sets_in(folder)
    for digest, path in there.items():
        if digest not in wanted:
            raise RequestError(
                f"{folder} holds inversions of another run ({path.name}); choose another --out"
            )
        wanted[digest].check_continues(Manifest.read(path), path)
    return {
        digest: there.get(digest, folder / SETS / manifest.slug)
        for digest, manifest in wanted.items()
    }


@contextmanager
def run_folder(
    out: str | os.PathLike[str] | None, digest: str, processes: Processes, *, keep: bool = False
) -> Iterator[Path]:
    """The locked folder of a run; without `out` a temporary one.

    Args:
        out: the folder for results, if they are kept.
        digest: hash that identifies the run; a result of another run is never overwritten.
        processes: the processes of the run; the main process takes the lock.
        keep: keep a temporary folder unless there is an error; the caller removes it.

    Raises:
        RequestError: the folder is not writable or belongs to another run, or the processes have
            different models or data, or no common temporary folder.
    """
    if len(set(processes.exchange(digest))) > 1:
        raise RequestError("the processes of this run have different models or data")
    if out is None:
        with _temporary(processes, keep=keep) as folder:
            yield folder
        return
    folder = writable(Path(out))
    path = folder / RESULT
    if processes.main and path.exists() and StirResult.load(folder).config.get("hash") != digest:
        raise RequestError(f"{path} is the result of another run; choose another --out")
    with claimed(folder) if processes.main else nullcontext():
        processes.wait()
        yield folder


@contextmanager
def _temporary(processes: Processes, *, keep: bool) -> Iterator[Path]:
    if len(set(processes.exchange(socket.gethostname()))) > 1:
        raise RequestError("processes on several machines need a folder to share: give --out DIR")
    folder = processes.on_main(temporary)
    try:
        yield folder
    except BaseException:
        if processes.main:
            remove(folder)
        raise
    if not keep and processes.main:
        remove(folder)
