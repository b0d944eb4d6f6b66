"""Time, memory and disk of a run, from a few real passes."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil
import torch
from numpy.typing import NDArray

from stir_hf.data.files import shards
from stir_hf.data.files.rows import Rows
from stir_hf.data.sets.folder import places, remove, temporary
from stir_hf.engine import Context, Item, Plan, Represent, Restarts, descend
from stir_hf.errors import RunError, is_out_of_memory
from stir_hf.job.claims import Claims
from stir_hf.job.inversion import InversionJob
from stir_hf.job.making import Making
from stir_hf.runtime import Counters, Processes, progress_bar, release_memory

PASSES, WARM_UP = 6, 2
"""Number of timed passes of one batch, and number of untimed passes before them."""


@dataclass(frozen=True)
class Estimate:
    """The estimate of one inversion set."""

    reference: str
    rows: int
    """Number of inversions still to be made: originals times draws."""
    passes: int
    """Maximum number of passes per inversion; those that reach the tolerance stop earlier."""
    seconds_per_pass: tuple[float, ...]
    """Seconds of one pass of one inversion, by process."""
    seconds: float
    """Maximum seconds of the run with all processes."""
    scoring_seconds: float
    """Seconds for scoring one model on the whole set with all processes as fast as this one."""
    memory: tuple[int, ...]
    """Peak memory in bytes, by process; that of the device if it has its own memory."""
    disk: int
    """Bytes of the rows on disk."""
    notes: tuple[str, ...] = ()
    """Notes on a tolerance that is too loose for the spread of the first representations."""


def estimate(
    jobs: Sequence[InversionJob], folder: Path | None, processes: Processes
) -> list[Estimate]:
    """Time a few passes of each set on the device of each process, without keeping results. Rows in
    the folder of a run count as made.

    Raises:
        RunError: none of the first originals can be inverted; out of memory.
    """
    wanted = {job.manifest.hash: job.manifest for job in jobs}
    where = processes.on_main(
        lambda: places(folder, wanted) if folder is not None and folder.is_dir() else {}
    )
    return [_estimated(job, where.get(job.manifest.hash), processes) for job in jobs]


def _estimated(job: InversionJob, folder: Path | None, processes: Processes) -> Estimate:
    keys, made = np.argwhere(job.asked), temporary()
    notes = processes.on_main(lambda: _too_loose(job))
    job.settle_spread(folder, processes)
    left = keys if folder is None else processes.on_main(lambda: job.todo(folder)).keys
    try:
        passes, forward = _timed(job, keys, made, processes)
        files = shards.files_of(made)
        disk = sum(path.stat().st_size for path in files) / len(Rows(files))
    finally:
        remove(made)
    found = processes.exchange((passes, forward, _memory(job)))
    per_pass, per_forward, memory = zip(*found, strict=True)
    starts = job.config.restarts if isinstance(job.config.restarts, int) else 1  # few stall
    most = job.config.steps * starts
    speed, judging = (sum(1 / seconds for seconds in some) for some in (per_pass, per_forward))
    return Estimate(
        reference=job.network.label,
        rows=len(left),
        passes=most,
        seconds_per_pass=per_pass,
        seconds=len(left) * most / speed,
        scoring_seconds=3 * job.count / judging,
        memory=memory,
        disk=round(disk * len(left)),
        notes=notes,
    )


def _too_loose(job: InversionJob) -> tuple[str, ...]:
    if (measured := job.measured_spread()) is None:
        return ()
    warning = job.config.good_enough.warning(measured.mean, measured.spread)
    return () if warning is None else (warning,)


def _timed(
    job: InversionJob, keys: NDArray[np.int64], folder: Path, processes: Processes
) -> tuple[float, float]:
    """Seconds per inversion of one pass and of one forward pass; the rows of one batch are written
    to the folder.
    """
    counters, batch = Counters(None), job.batch_size
    with (
        progress_bar(0, 0, counters, False, main=True) as bar,
        job.descending() as (represent, whole),
    ):
        while True:
            claims = Claims(keys[:batch], counters, f"of {batch}", 1)
            making = Making(job, folder, claims, bar, processes)
            first = (item for item in making.items() if item is not None)
            items = [replace(item, tolerance=None, then=None) for item in first]
            if not items:
                raise RunError(
                    f"{job.network.where}: none of the first {job.kind.name}s can be inverted"
                )
            try:
                passes = _passes(making, items, represent, whole)
                break
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or batch == 1:
                    raise
            batch //= 2
            release_memory()
        values = torch.stack([item.start for item in items])
        names = items[0].context
        context = {name: torch.stack([item.context[name] for item in items]) for name in names}
        job.network.represent(values, context)  # the first is slower
        begun = _now(job)
        job.network.represent(values, context)
        return passes, (_now(job) - begun) / len(items)


def _passes(making: Making, items: Sequence[Item], represent: Represent, whole: Plan) -> float:
    """Seconds per inversion of one pass."""
    job, times = making.job, list[float]()

    def timed(x: torch.Tensor, context: Context) -> torch.Tensor:
        times.append(_now(job))
        return represent(x, context)

    plan = replace(whole, passes=WARM_UP + PASSES, tolerance=1e-9, restarts=Restarts())
    made = descend(timed, items, plan, batch_size=len(items))
    making.work.finished += list(made)
    making.put()
    timed_ones = times[WARM_UP if len(times) > WARM_UP + 1 else 0 :]
    return (timed_ones[-1] - timed_ones[0]) / max(1, len(timed_ones) - 1) / len(items)


def _now(job: InversionJob) -> float:
    if job.network.encoder.device.type != "cpu":
        torch.accelerator.synchronize()
    return time.perf_counter()


def _memory(job: InversionJob) -> int:
    if job.network.encoder.device.type == "cuda":
        return int(torch.cuda.max_memory_allocated())
    return int(psutil.Process().memory_info().rss)
