"""The inversion sets of one run: missing rows are found, shared among processes and made."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from stir_hf.data.sets import part_sources as sources
from stir_hf.data.sets.folder import places
from stir_hf.data.sets.inversions import Inversions
from stir_hf.data.sets.labels import relabel
from stir_hf.data.sets.manifest import FILE_NAME, Manifest
from stir_hf.job.claims import Claims
from stir_hf.job.inversion import InversionJob
from stir_hf.job.making import Making
from stir_hf.runtime import Processes, Watcher, environment, progress_bar


def run_jobs(
    jobs: Sequence[InversionJob], folder: Path, processes: Processes, *, progress: bool | Watcher
) -> list[Inversions]:
    """Make all rows that are missing from the folder, with one progress bar over sets and
    processes.

    The folder must be locked. A process that finishes its share of one set continues with the next.

    Raises:
        RequestError: the folder holds the sets of another run, or samples have changed.
        RunError: no sample of a set could be inverted; or out of memory.
    """
    wanted = {job.manifest.hash: job.manifest for job in jobs}
    where = processes.on_main(partial(places, folder, wanted))
    folders = [where[job.manifest.hash] for job in jobs]
    left = []
    for job, there in zip(jobs, folders, strict=True):
        job.settle_spread(there, processes)
        found = processes.on_main(partial(job.todo, there))
        job.canvases.expect(found.hashes)
        left.append(found.keys)
        if processes.main:
            if found.labels:
                relabel(there, found.labels, job.samples.label_feature)
            _record(job, there, anything_to_do=len(found.keys) > 0)
    processes.wait()
    total, counters = sum(job.count for job in jobs), processes.counters()
    done = total - sum(map(len, left))
    with progress_bar(total, done, counters, progress, main=processes.main) as bar:
        for i, (job, there) in enumerate(zip(jobs, folders, strict=True)):
            bar.describe(f"inverting {job.network.encoder.name}")
            claims = Claims(left[i], counters, f"set-{i}", processes.count)
            Making(job, there, claims, bar, processes).run()
        processes.wait()
        bar.show()
    if processes.main:
        for job, there in zip(jobs, folders, strict=True):
            job.finish(there)
    processes.wait()
    return [job.read(there) for job, there in zip(jobs, folders, strict=True)]


def _record(job: InversionJob, folder: Path, *, anything_to_do: bool) -> None:
    """Record the conditions of this run in the set."""
    exists = (folder / FILE_NAME).exists()
    there = Manifest.read(folder) if exists else job.manifest
    if exists and not anything_to_do:
        if there.names != job.manifest.names:
            replace(there, names=job.manifest.names).write(folder)
        return
    device = job.network.encoder.device
    about: dict[str, Any] = {**environment(device), "batch_size": job.batch_size}
    about |= job.network.encoder.recorded()
    about |= {"data_revision": job.samples.commit}
    folder.mkdir(parents=True, exist_ok=True)
    if job.part.part is not None:
        sources.record(folder, job.canvases)
        about |= {"part": job.part.part, "num_samples": len(job.samples)}
    replace(there, names=job.manifest.names, runs=(*there.runs, about)).write(folder)
