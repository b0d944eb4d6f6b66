"""One process's share of an inversion set: the rows that it claims, inverted and written."""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stir_hf.data.files import shards
from stir_hf.data.files.columns import columns_of, features
from stir_hf.data.sources.canvases import Canvas
from stir_hf.engine import Inverted, Item, Plan, Represent, Watch, descend
from stir_hf.errors import ONE_AT_A_TIME, RequestError, RunError, is_out_of_memory, memory_errors
from stir_hf.job.claims import Claims
from stir_hf.job.inputs import inputs_of
from stir_hf.job.inversion import InversionJob
from stir_hf.job.rows import Key, Pending, Work
from stir_hf.runtime import Processes, Progress, release_memory

logger = logging.getLogger(__name__)


class Making:
    """The work of one process on a set, whose rows go to `folder`; an error in one of the processes
    ends all.
    """

    def __init__(
        self,
        job: InversionJob,
        folder: Path,
        claims: Claims,
        progress: Progress,
        processes: Processes,
    ) -> None:
        self.job, self.folder, self.claims = job, folder, claims
        self.progress, self.processes = progress, processes
        self.batch_size, self.work, self.active = job.batch_size, Work(), 0
        self._seen: tuple[Tensor, Tensor, dict[str, Tensor]] | None = None
        self.columns = columns_of(folder) or features(
            job.kind, job.config.exact, job.more_columns, job.samples.label_feature
        )

    def run(self) -> None:
        """Claim and make rows until none are left, and write them to disk a batch at a time.
        Written rows survive a kill.

        The batch size is halved if the device is out of memory.

        Raises:
            RequestError: the network depends on the other rows of a batch.
            RunError: out of memory with a single row; the error of another process; or a network
                that has changed during the run.
        """
        if not len(self.claims):
            self.put()  # a watcher is told how far the run is
            return
        network = self.job.network
        doing = f"in {network.where}"
        try:
            with memory_errors(doing, ONE_AT_A_TIME), self.job.descending() as work:
                while not self._made_all(*work):
                    self.put()
                    self.work.pending.clear()
                    self.batch_size //= 2
                    release_memory()
                    now = self.batch_size
                    logger.warning("out of memory %s: batches of %d from here", doing, now)
                self._check_unchanged()
        finally:
            self.put()

    def _check_unchanged(self) -> None:
        """Check that the representations of the last batch are still the same."""
        if self._seen is None:
            return
        try:
            self.job.network.check_alone(*self._seen)
        except RequestError as error:
            remedy = f"Remove the files in {self.folder} that this run wrote"
            raise RunError(f"{error} {remedy}") from error

    def _made_all(self, represent: Represent, plan: Plan) -> bool:
        """Make all claimed rows; return False if the device ran out of memory."""
        work = self.work
        try:
            for result in self._descend(represent, plan):
                self.active -= 1
                work.finished.append(result)
                if len(work.finished) + len(work.rows) >= self.batch_size:
                    self.put()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or self.batch_size == 1:
                raise
            return False
        return True

    def put(self) -> None:
        """Measure the finished inversions, and write all rows to disk."""
        rows = self.job.starts.columns([*self.job.make.measured(self.work), *self.work.rows])
        self.work.rows.clear()  # cleared first, so that a failed write is not repeated at the end
        shards.append(self.folder, rows, self.columns)
        errors = [row["relative_error"] for row in rows if "relative_error" in row]
        converged = sum(row["status"] == "converged" for row in rows)
        self.progress.add(len(rows), inverted=len(errors), converged=converged, error=sum(errors))

    def _descend(self, represent: Represent, plan: Plan) -> Iterator[Inverted]:
        looked = list[float]()

        def watch(seen: Watch) -> None:
            looked.append(time.perf_counter())
            if len(looked) > 1:  # the time before the first look is warm-up
                self.claims.note(seen.passes, looked[1] - looked.pop(0))
            forming = partial(self._in_progress, seen)
            self.progress.look(seen.passes, seen.active, seen.error, forming)
            self.processes.check()

        items, size = self.items(), self.batch_size
        return descend(represent, items, plan, batch_size=size, watch=watch)

    def _in_progress(self, seen: Watch) -> dict[int, NDArray[np.float32]]:
        """The best iterates of the rows in progress, by index, within their bounds."""
        best = seen.best.detach()
        if self.job.kind.bounds is not None:
            best = best.clamp(*self.job.kind.bounds)
        values = best.float().cpu().numpy()
        order = self.job.samples.order
        pairs = zip(seen.keys, values, strict=True)
        return {int(order[position]): value for (position, draw), value in pairs if not draw}

    def items(self) -> Iterator[Item | None]:
        """The items for the engine, first those to repeat with a smaller batch size. None leaves a
        slot empty, so that other processes take the remaining rows. A sample that cannot be
        inverted becomes a row at once.
        """
        self.active = 0
        repeated, size = sorted(self.work.claimed), self.batch_size
        if self.job.config.diverse:  # a draw needs those before it
            draws = range(self.job.config.draws)
            repeated = [(place, draw) for place in sorted(dict(repeated)) for draw in draws]
            size *= len(draws)
        for first in range(0, len(repeated), size):
            yield from self._begun(repeated[first : first + size])
        while True:
            while self.claims.enough(self.active):
                yield None
            if not (keys := self.claims.take(self.batch_size)):
                return
            self.work.claimed.update(keys)
            yield from self._begun(keys)

    def _begun(self, keys: Sequence[Key]) -> Iterator[Item]:
        job, draws = self.job, dict[int, list[int]]()
        for position, draw in keys:
            draws.setdefault(position, []).append(draw)
        taken = {position: job.canvases.take(position) for position in draws}
        for position in (p for p, canvas in taken.items() if canvas is None):
            index = int(job.samples.order[position])
            self._bare(position, [job.make.bare(index, d, "unreadable") for d in draws[position]])
        if canvases := [canvas for canvas in taken.values() if canvas is not None]:
            yield from self._started(canvases, draws)

    def _started(self, canvases: Sequence[Canvas], draws: dict[int, list[int]]) -> Iterator[Item]:
        job = self.job
        values, context = inputs_of(job.kind, canvases)
        targets: Tensor = job.network.represent(values, context)
        if self._seen is None:
            job.network.check_alone(values, targets, context)
        self._seen = values, targets, context
        others = [network.represent(values, context) for network in job.others]
        good = (targets.isfinite().all(1) & targets.any(1)).tolist()
        limits = job.make.limits(targets)
        for i, canvas in enumerate(canvases):
            mine = draws[canvas.position]
            if not good[i] or not all(bool(other[i].isfinite().all()) for other in others):
                rows = [job.make.bare(canvas.index, d, "not_finite", canvas) for d in mine]
                self._bare(canvas.position, rows)
                continue
            self.work.pending[canvas.position] = Pending(canvas, targets[i], len(mine))
            beside = {name: tensor[i].to(targets.device) for name, tensor in context.items()}
            item = Item(
                (canvas.position, 0),
                targets.new_empty(0),
                targets[i],
                values[i].to(targets),
                limits[i],
                beside,
                tuple(other[i].to(targets.device) for other in others),
            )
            yield from self._of_draws(item, canvas, mine)

    def _of_draws(self, item: Item, canvas: Canvas, draws: Sequence[int]) -> Iterator[Item]:
        """The items of an original, one per draw; draws that repel each other come one after the
        other in the same slot, which begins with the first.
        """
        starts = self.job.starts

        def of(draw: int) -> Item:
            def start(again: int = 0) -> Tensor:
                return starts.of(canvas.position, draw, again, canvas).to(item.target)

            self.active += 1
            key = canvas.position, draw
            return replace(item, key=key, start=start(), again=start)

        if not self.job.config.diverse:
            yield from map(of, draws)
            return
        none = torch.full((len(draws) - 1, *self.job.kind.shape), torch.nan).to(item.target)

        def chained(place: int, earlier: Tensor) -> Item:
            def then(found: Tensor | None) -> Item:
                further = earlier.clone()
                if found is not None:
                    further[place] = found
                return chained(place + 1, further)

            last = place + 1 == len(draws)
            return replace(of(draws[place]), earlier=earlier, then=None if last else then)

        yield chained(0, none)

    def _bare(self, position: int, rows: Sequence[dict[str, Any]]) -> None:
        self.work.rows += rows
        self.work.claimed -= {(position, row["draw"]) for row in rows}
