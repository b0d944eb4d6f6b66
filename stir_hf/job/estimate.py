"""What a run will take, from a few real passes, before any of it is spent."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import psutil
import torch
from numpy.typing import NDArray

from stir_hf.data.folder import places, remove, temporary
from stir_hf.data.shards import files_of
from stir_hf.engine import descend
from stir_hf.job.claims import Claims
from stir_hf.job.inversion import InversionJob
from stir_hf.job.making import Making
from stir_hf.runtime import Counters, Processes, progress_bar

PASSES, WARM_UP = 6, 2
"""So many passes of one batch are timed, after some that are not."""


@dataclass(frozen=True)
class Estimate:
    """Of one inversion set."""

    reference: str
    rows: int
    """Inversions that are not there yet: images times draws."""
    passes: int
    """The most per inversion; those that are good enough earlier take fewer."""
    seconds_per_pass: tuple[float, ...]
    """Of one inversion, by process."""
    seconds: float
    """In all, at most, with all processes."""
    judging: float
    """Seconds of one model's judging of what the set will hold, were it the reference, with all
    processes.
    """
    memory: int
    """Bytes, the most of any process: of the device where it has memory of its own."""
    disk: int
    """Bytes of the rows."""


def estimate(
    jobs: Sequence[InversionJob], folder: Path | None, processes: Processes
) -> list[Estimate]:
    """Time a few passes of each set; nothing is kept.

    Args:
        jobs: the sets.
        folder: of the run, whose rows need not be made again; None where there is none.
        processes: all of them measure, each on its device.
    """
    wanted = {job.manifest.hash: job.manifest for job in jobs}
    where: dict[str, Path] = {}
    if folder is not None and folder.is_dir():
        where = processes.on_main(partial(places, folder, wanted))
    return [_estimated(job, where.get(job.manifest.hash), processes) for job in jobs]


def _estimated(job: InversionJob, folder: Path | None, processes: Processes) -> Estimate:
    keys = job.keys()
    left = keys if folder is None else processes.on_main(lambda: job.todo(folder))[0]
    some, made = keys[: job.batch_size], temporary()
    try:
        passes, forward = _timed(job, some, made, processes)
        disk = sum(path.stat().st_size for path in files_of(made)) / max(1, len(some))
    finally:
        remove(made)
    found = processes.exchange((passes, forward, _memory(job)))
    rows = len(left)
    speed, judging = (sum(1 / one[k] for one in found) for k in (0, 1))
    return Estimate(
        reference=job.network.label,
        rows=rows,
        passes=job.config.steps,
        seconds_per_pass=tuple(one[0] for one in found),
        seconds=rows * job.config.steps / speed,
        judging=3 * job.count / judging,
        memory=max(one[2] for one in found),
        disk=round(disk * rows),
    )


def _timed(
    job: InversionJob, keys: NDArray[np.int64], folder: Path, processes: Processes
) -> tuple[float, float]:
    """Seconds per inversion of one pass and of one forward pass; the rows of one batch are put
    into the folder.
    """
    with progress_bar(0, 0, Counters(None), shown=False) as bar:
        making = Making(job, folder, Claims(keys, Counters(None), "", 1), bar, processes)
        with job.network.descending() as represent:
            items = list(making.items())
            ages: list[float] = []

            def timed(x: torch.Tensor) -> torch.Tensor:
                ages.append(_now(job))
                return represent(x)

            made = descend(
                timed,
                items,
                job.config.method,
                constraint=job.config.constraint,
                passes=WARM_UP + PASSES,
                tolerance=1e-9,
                batch_size=len(items),
            )
            making.work.finished += list(islice(made, len(items)))
            making.put()
        values = torch.stack([item.start for item in items])
        begun = _now(job)
        job.network.represent(values)
        forward = (_now(job) - begun) / len(items)
    return (ages[WARM_UP + PASSES - 1] - ages[WARM_UP]) / (PASSES - 1) / len(items), forward


def _now(job: InversionJob) -> float:
    if job.network.encoder.device.type != "cpu":
        torch.accelerator.synchronize()
    return time.perf_counter()


def _memory(job: InversionJob) -> int:
    if job.network.encoder.device.type == "cuda":
        return int(torch.cuda.max_memory_allocated())
    return int(psutil.Process().memory_info().rss)
