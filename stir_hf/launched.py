"""The place of this process among those of a launcher, read from the environment variables that
launchers set. The module loads nothing heavy, so that `--help` can use it.

A launcher sets a rank and a size of one kind together, and the address where the processes meet.
Single variables are left over from another program or an earlier shell: nothing was launched.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from stir_hf.errors import RequestError

MEETING = "MASTER_ADDR"
"""The variable with the address where the processes meet; the launchers of torch and accelerate set
it, with mpirun the user does.
"""


@dataclass(frozen=True)
class Kind:
    """The variables of one kind of launcher."""

    rank: str
    size: str
    local: tuple[str, ...]
    """The variables of the rank and size on this machine."""


KINDS = (
    Kind("RANK", "WORLD_SIZE", ("LOCAL_RANK", "LOCAL_WORLD_SIZE")),
    Kind("PMI_RANK", "PMI_SIZE", ("MPI_LOCALRANKID", "MPI_LOCALNRANKS")),
    Kind(
        "OMPI_COMM_WORLD_RANK",
        "OMPI_COMM_WORLD_SIZE",
        ("OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"),
    ),
    Kind(
        "MV2_COMM_WORLD_RANK",
        "MV2_COMM_WORLD_SIZE",
        ("MV2_COMM_WORLD_LOCAL_RANK", "MV2_COMM_WORLD_LOCAL_SIZE"),
    ),
)
"""The kinds, in the order in which accelerate looks for them (torchrun and accelerate launch; MPICH
and Intel MPI; Open MPI; MVAPICH).
"""


@dataclass(frozen=True)
class Launch:
    """The rank of this process and the number of processes that were started together."""

    rank: int
    size: int


def launch_of_this() -> Launch | None:
    """Return the rank and size of this process, None where no launcher has started it."""
    if not os.environ.get(MEETING):
        return None
    return next((found for kind in KINDS if (found := _named(kind))), None)


def is_launched() -> bool:
    """Return True where a launcher has started this process, alone or as one of several."""
    return launch_of_this() is not None


def main_process() -> bool:
    """Return True in the main process, the one that prints."""
    launch = launch_of_this()
    return launch is None or launch.rank == 0


def leftovers() -> dict[str, str]:
    """Return the variables of launchers that are set although none has started this process.

    Raises:
        RequestError: a rank and a size of several processes that have nowhere to meet: an MPI
            launcher may have started them.
    """
    if is_launched():
        return {}
    for kind in KINDS:
        named = _named(kind)
        if named is not None and named.size > 1:
            raise RequestError(
                f"{kind.rank}={named.rank} and {kind.size}={named.size} say that this is one of"
                f" {named.size} processes, but {MEETING}, where they meet, is not set; set it where"
                f" a launcher has started them, else unset {kind.rank} and {kind.size}"
            )
    names = (name for kind in KINDS for name in (kind.rank, kind.size, *kind.local))
    return {name: os.environ[name] for name in names if name in os.environ}


@contextmanager
def without(names: dict[str, str]) -> Iterator[None]:
    """Hide these variables from accelerate, which takes any of them for the sign of a launcher."""
    for name in names:
        os.environ.pop(name, None)
    try:
        yield
    finally:
        os.environ.update(names)


def _named(kind: Kind) -> Launch | None:
    try:
        rank, size = int(os.environ[kind.rank]), int(os.environ[kind.size])
    except (KeyError, ValueError):
        return None
    return Launch(rank, size) if 0 <= rank < size else None
