"""Several inversion sets of one run: the folder is claimed, what is missing is made, all is given
back.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from stir_hf.data.folder import places
from stir_hf.data.inversions import Inversions
from stir_hf.data.manifest import FILE_NAME, Manifest
from stir_hf.job.inversion import InversionJob, Key
from stir_hf.runtime import Processes, environment


def run_jobs(
    jobs: Sequence[InversionJob], folder: Path, processes: Processes, *, progress: bool
) -> list[Inversions]:
    """Make what is not in the folder yet, each process its share; one bar over all sets.

    The folder has been claimed.

    Raises:
        RequestError: the folder holds another run's sets, or samples have changed.
        RunError: a set of which no sample could be inverted; out of memory.
    """
    where = places(folder, {job.manifest.hash: job.manifest for job in jobs})
    folders = [where[job.manifest.hash] for job in jobs]
    left = [job.todo(there) for job, there in zip(jobs, folders, strict=True)]
    processes.wait()  # until all have seen what there is
    if processes.main:
        for job, there, keys in zip(jobs, folders, left, strict=True):
            _record(job, there, keys)
    processes.wait()
    total = sum(len(job.keys()) for job in jobs)
    done = total - sum(map(len, left))
    with _bar(total, done, progress and processes.main) as bar:
        for job, there, keys in zip(jobs, folders, left, strict=True):
            bar.set_description(f"inverting {job.network.encoder.name}")
            job.run(there, _share(keys, processes), bar)
            processes.wait()
    if processes.main:
        for job, there in zip(jobs, folders, strict=True):
            job.finish(there)
    processes.wait()
    return [job.read(there) for job, there in zip(jobs, folders, strict=True)]


def _share(keys: Sequence[Key], processes: Processes) -> list[Key]:
    """What this process makes; the draws of an image stay together, which is decoded once."""
    places = {position: i for i, position in enumerate(dict.fromkeys(p for p, _ in keys))}
    return [key for key in keys if places[key[0]] % processes.count == processes.rank]


def _record(job: InversionJob, folder: Path, keys: Sequence[Key]) -> None:
    """Write down who continues the set."""
    exists = (folder / FILE_NAME).exists()
    there = Manifest.read(folder) if exists else job.manifest
    if exists and not keys:
        if there.names != job.manifest.names:
            replace(there, names=job.manifest.names).write(folder)
        return
    device = job.network.encoder.device
    about: dict[str, Any] = {**environment(device), "batch_size": job.batch_size}
    about |= job.network.encoder.recorded()
    about |= {"data_revision": job.samples.commit}
    replace(there, names=job.manifest.names, runs=(*there.runs, about)).write(folder)


def _bar(total: int, done: int, shown: bool) -> "tqdm[Any]":
    return tqdm(total=total, initial=done, unit="image", disable=not shown, dynamic_ncols=True)
