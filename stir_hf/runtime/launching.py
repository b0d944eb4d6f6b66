"""Several processes on this machine, started for the user: torch's own launcher."""

import logging
import os
import signal
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher import LaunchConfig, elastic_launch

from stir_hf.errors import RequestError, as_count
from stir_hf.registry import option
from stir_hf.runtime.processes import Processes

LOOK_EVERY = 0.2
"""Seconds between two looks at whether all processes live."""


@dataclass(frozen=True)
class ProcessConfig:
    """How many processes share the work."""

    num_processes: int | None = option(
        None,
        "Processes on this machine that share the work: one for each GPU, or several on a CPU."
        " torchrun, accelerate launch and notebook_launcher do the same.",
        metavar="N",
    )

    def __post_init__(self) -> None:
        if self.num_processes is not None:
            object.__setattr__(self, "num_processes", as_count("num_processes", self.num_processes))

    def processes(self, device: str | None) -> Processes:
        """Those of this run.

        Raises:
            RequestError: there are not as many as were asked for.
        """
        found = Processes(device)
        if self.num_processes not in (None, found.count):
            raise RequestError(
                f"num_processes={self.num_processes}, but this run has {found.count}; the command"
                " line starts them, in Python torchrun or accelerate's notebook_launcher does"
            )
        return found


def is_launched() -> bool:
    """Whether a launcher has started this process as one of several."""
    return "WORLD_SIZE" in os.environ


def launch(arguments: Sequence[str], count: int) -> int:
    """Run a command line of stir-hf in `count` processes; returns its exit code.

    The threads are shared out, unless OMP_NUM_THREADS is set. When one process dies, the others
    are ended.
    """
    threads = max(1, _cores() // count)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
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
        rank, failure = error.get_first_failure()
        if failure.exitcode > 0:  # it has told why
            return int(failure.exitcode)
        name = signal.Signals(-failure.exitcode).name
        sys.stderr.write(
            f"stir-hf: process {rank} was ended by {name}, and the others with it; the same command"
            " with --out continues\n"
        )
        return 1
    except (SignalException, KeyboardInterrupt):
        return 130
    return 0


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
