"""Read from the environment if a launcher has started this process, and with which rank.

The module imports no library, so that `--help` stays fast. A launcher sets a rank, a size and the
address at which the processes meet. If only some of these variables are set, they are left over
from another program or an earlier shell, and nothing was launched.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from stir_hf.errors import RequestError

MEETING = "MASTER_ADDR"
"""Variable with the address at which the processes meet. The launchers of torch and accelerate set
it; with mpirun the user sets it.
"""


@dataclass(frozen=True)
class Kind:
    """Environment variables of one kind of launcher."""

    rank: str
    size: str
    local: tuple[str, ...]
    """Rank and size among the processes of this machine."""


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
"""Known launchers, in the order in which accelerate looks for them: torchrun and accelerate launch;
MPICH and Intel MPI; Open MPI; MVAPICH.
"""


@dataclass(frozen=True)
class Launch:
    """Rank of this process and the number of processes that were started together."""

    rank: int
    size: int


def launch_of_this() -> Launch | None:
    """Return the rank and size of this process; None if no launcher has started it."""
    if not os.environ.get(MEETING):
        return None
    return next((found for kind in KINDS if (found := _named(kind))), None)


def is_launched() -> bool:
    """Return True if a launcher has started this process, alone or with others."""
    return launch_of_this() is not None


def main_process() -> bool:
    """Return True in the main process: the one that prints, or the only one."""
    launch = launch_of_this()
    return launch is None or launch.rank == 0


def leftovers() -> dict[str, str]:
    """Return the launcher variables that are set although no launcher has started this process.

    Raises:
        RequestError: rank and size name several processes, but no address is set at which they
            meet; an MPI launcher may have started them.
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
    """Hide these variables from accelerate, for which a single one means a launch."""
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
