"""Join the other processes of this run, if a launcher has started several."""

import logging
import os
import threading
from datetime import timedelta

import torch
import torch.distributed as dist
from accelerate import PartialState

from stir_hf.launched import MEETING, launch_of_this, leftovers, without
from stir_hf.runtime.placement import SPREAD

TIME_LIMIT = timedelta(hours=6)
"""Maximum wait for processes that are alive; one that has ended is noticed at once."""

WAITING = 30.0
"""Seconds before a warning says that the other processes have not arrived."""

logger = logging.getLogger(__name__)


def joined(device: object) -> PartialState:
    """Return accelerate's state of the processes, once all have arrived.

    Launcher variables that are set although no launcher has run are hidden from accelerate; a
    warning names them if they describe more than one process. A long wait for the other processes
    is logged, too.

    Raises:
        RequestError: several processes, but no address at which they meet.
    """
    if PartialState._shared_state or dist.is_initialized():
        return PartialState(cpu=_on_cpu(device), timeout=TIME_LIMIT)
    unused = leftovers()
    alone = {name: "1" if name.endswith(("SIZE", "NRANKS")) else "0" for name in unused}
    telling = [f"{name}={value}" for name, value in unused.items() if value != alone[name]]
    if telling:
        logger.warning(
            "no launcher has started this process, so these variables are ignored: %s",
            ", ".join(telling),
        )
    waiting = threading.Timer(WAITING, _tell_waiting)
    waiting.daemon = True
    waiting.start()
    try:
        with without(unused):
            return PartialState(cpu=_on_cpu(device), timeout=TIME_LIMIT)
    finally:
        waiting.cancel()


def _tell_waiting() -> None:
    launch = launch_of_this()
    if launch is not None and launch.size > 1:
        logger.warning(
            "process %s is waiting for the others of %s processes in the environment, at %s;"
            " if no launcher has started them, unset RANK, WORLD_SIZE and MASTER_ADDR",
            launch.rank,
            launch.size,
            os.environ.get(MEETING),
        )


def _on_cpu(device: object) -> bool:
    """Return True if the processes communicate on the CPU: there is no accelerator, or it has no
    collectives (MPS).
    """
    if device not in (None, SPREAD):
        return str(device).partition(":")[0] in ("cpu", "mps")
    return not torch.accelerator.is_available() or torch.backends.mps.is_available()
