"""Start several processes on this machine, with torch's launcher."""

import logging
import os
import signal
import sys
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher import LaunchConfig, elastic_launch

from stir_hf.errors import RequestError, as_count
from stir_hf.launched import main_process
from stir_hf.registry import option
from stir_hf.runtime.processes import Processes

logger = logging.getLogger(__name__)

LOUD = (
    "torch.distributed.elastic.agent.server.api",
    "torch.distributed.elastic.multiprocessing.api",
    "torch.distributed.launcher.api",
)
"""Verbose loggers that are silenced; one line is logged here instead."""

LAUNCHER = "STIR_HF_LAUNCHER"
"""Environment variable with the id of the launcher's process."""

LOOK_EVERY = 0.2
"""Seconds between two checks that all processes are alive."""


@dataclass(frozen=True)
class ProcessConfig:
    """Number of processes that share the work."""

    num_processes: int | None = option(
        None,
        "Processes on this machine that share the work: one for each GPU, or several on a CPU."
        " torchrun, accelerate launch and notebook_launcher do the same.",
        metavar="N",
    )

    def __post_init__(self) -> None:
        if self.num_processes is not None:
            object.__setattr__(self, "num_processes", as_count("num_processes", self.num_processes))

    def check(self, processes: Processes) -> None:
        """Compare the requested number of processes with the number that runs.

        Raises:
            RequestError: the numbers differ.
        """
        if self.num_processes not in (None, processes.count):
            raise RequestError(
                f"num_processes={self.num_processes}, but this run has {processes.count}; the"
                " command line starts them, in Python torchrun or accelerate's notebook_launcher"
                " does"
            )


def end_with_launcher() -> None:
    """End this process as soon as its launcher has ended.

    A launcher that is killed cannot end its processes; they would go on and keep the folder locked.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return
    launcher = int(os.environ.get(LAUNCHER, os.getppid()))

    def watch() -> None:
        while os.getppid() == launcher:
            time.sleep(5 * LOOK_EVERY)
        if main_process():
            logger.warning(
                "the launcher of this run was killed; the same command with --out continues"
            )
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def launch(arguments: Sequence[str], count: int) -> int:
    """Run a command line of stir-hf in `count` processes and return its exit code.

    The cores are divided among the processes unless OMP_NUM_THREADS is set. If one process dies,
    the others are ended.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, _cores() // count)))
    for name in LOUD:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    os.environ[LAUNCHER] = str(os.getpid())
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="127.0.0.1:0",
        local_addr="127.0.0.1",
        max_restarts=0,
        monitor_interval=LOOK_EVERY,
    )
    try:
        elastic_launch(config, sys.executable)("-m", "stir_hf", *arguments)
    except ChildFailedError as error:
        return _told(error)
    except (SignalException, KeyboardInterrupt):
        return 130
    return 0


def _told(error: ChildFailedError) -> int:
    """Return the exit code of a failed run; log the signal that killed a process."""
    codes = {rank: int(failure.exitcode) for rank, failure in error.failures.items()}
    killed = [rank for rank, code in codes.items() if code < 0 and code != -signal.SIGTERM]
    if not killed and max(codes.values()) > 0:  # a process has reported the reason
        return max(codes.values())
    rank = killed[0] if killed else next(iter(codes))
    name = signal.Signals(-codes[rank]).name
    logger.warning(
        "process %s was ended by %s, and the others with it; the same command with --out continues",
        rank,
        name,
    )
    return 1


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
