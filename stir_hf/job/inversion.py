"""One inversion set in the making: a reference, samples and a configuration become rows on disk."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from stir_hf.data import shards
from stir_hf.data.canvases import Canvas, Canvases
from stir_hf.data.columns import columns_of, features
from stir_hf.data.identity import array_hash, local_label, probe_record, same_probe
from stir_hf.data.inversions import Inversions
from stir_hf.data.manifest import FILE_NAME, Manifest
from stir_hf.data.samples import Samples
from stir_hf.engine import (
    Given,
    InversionConfig,
    Inverted,
    Item,
    Represent,
    Watch,
    descend,
    start_value,
)
from stir_hf.errors import RequestError, RunError, memory_errors
from stir_hf.hub import is_local
from stir_hf.job.rows import Pending, RowMaker, Work
from stir_hf.models import Opened
from stir_hf.runtime import RunConfig

PROBES, MOST_LOOKED_AT = 4, 64
"""How many samples that differ tell whether a representation is constant, and how many are looked
through for them.
"""

Key = tuple[int, int]
"""(position, draw)."""


class InversionJob:
    """One inversion set in the making: everything is checked when it is made, nothing is written
    before `run`.

    Args:
        network: the reference, its session open.
        samples: what is inverted.
        size: the canvas, (h, w).
        config: how.
        run: in what portions.
        labels: what local folders are called in results, by their names.
        starts: start values (n, *shape), one per sample in ascending order of the index, for
            `start="given"`.

    Raises:
        RequestError: starts that do not fit.
        RunError: the first samples' representations are constant, zero or not finite.
    """

    def __init__(
        self,
        network: Opened,
        samples: Samples,
        size: tuple[int, int],
        config: InversionConfig,
        run: RunConfig,
        labels: Mapping[str, str],
        starts: Tensor | None = None,
    ) -> None:
        self.network, self.samples, self.config, self.run_config = network, samples, config, run
        self.size, self.kind = size, network.encoder.kind(size)
        self.batch_size = run.batch(math.prod(self.kind.shape), network.encoder.device)
        self.canvases = Canvases(samples, network.encoder.canvas, self.kind.shape)
        self.starts = None if starts is None else starts.detach().cpu().float()
        self._places = {index: i for i, index in enumerate(sorted(samples.order.tolist()))}
        self._check_starts()
        labelled = samples.label_column is not None
        self._make = RowMaker(network, self.kind, config.exact, config.tolerance, labelled)
        self.manifest = Manifest(
            identity=self._identity(),
            probe=probe_record(network.probe.cpu().double().numpy()),
            first_start=array_hash(self._start(0, 0).numpy()),
            names=self._names(labels),
        )
        self._check_first()

    def check_same(self, other: Opened) -> None:
        """See that another network of equal identity represents the probe alike.

        Raises:
            RequestError: it does not, so that it needs inversions of its own.
        """
        record = probe_record(other.probe.cpu().double().numpy())
        if not same_probe(record, self.manifest.probe, self.manifest.dtype):
            raise RequestError(
                f"{self.network.encoder.name} and {other.encoder.name} have the same weights and"
                " represent images otherwise; invert each into a folder of its own, then score"
            )

    def keys(self) -> list[Key]:
        """All that was asked for, image by image."""
        return [(p, d) for p in range(len(self.samples)) for d in range(self.config.draws)]

    def todo(self, folder: Path) -> list[Key]:
        """What was asked for and is not in `folder` yet.

        Raises:
            RequestError: a sample that has changed since it was inverted.
        """
        files = shards.files_of(folder) if (folder / FILE_NAME).exists() else []
        if not files:
            return self.keys()
        rows = shards.Rows(files)
        index = rows.column("index").tolist()
        keys = zip(index, rows.column("draw").tolist(), strict=True)
        status = rows.column("status").tolist()
        done = {k for k, how in zip(keys, status, strict=True) if how != "unreadable"}
        order = self.samples.order.tolist()
        self.canvases.expect(dict(zip(index, rows.column("canvas_hash").tolist(), strict=True)))
        return [(p, d) for p, d in self.keys() if (order[p], d) not in done]

    def run(self, folder: Path, keys: Sequence[Key], bar: "tqdm[Any]") -> None:
        """Make these rows and put them into `folder`, a batch at a time. What is there survives a
        kill.

        Raises:
            RunError: out of memory.
        """
        work, batch = Work(), self.batch_size
        columns = columns_of(folder) or features(
            self.kind, self.config.exact, self.starts is not None, self.samples.label_feature
        )

        def put() -> None:
            rows = [*self._with_starts(self._make.measured(work)), *work.rows]
            work.rows.clear()  # before they are written: what failed is not repeated on the way out
            shards.append(folder, rows, columns)
            bar.update(len(rows))

        try:
            with memory_errors(f"in {self.network.where}"), self._descending(keys) as represent:
                for result in self._descend(represent, keys, work, bar):
                    work.finished.append(result)
                    if len(work.finished) + len(work.rows) >= batch:
                        put()
        finally:
            put()

    def finish(self, folder: Path) -> None:
        """Compact the rows and record what is finished; one process does.

        Raises:
            RunError: no sample could be inverted.
        """
        shards.compact(folder)
        found = self.read(folder)
        if not len(found):
            kinds = " or ".join(sorted(set(found.left_out.values())))
            raise RunError(
                f"{self.network.where}: no image could be inverted: every one is {kinds}"
            )
        Manifest.read(folder).finished(found.num_samples, found.draws).write(folder)

    def read(self, folder: Path) -> Inversions:
        """What was asked for."""
        return Inversions.read(folder, len(self.samples), self.config.draws)

    def _identity(self) -> dict[str, Any]:
        network = dict(self.network.identity)
        network["precision"] = {**network["precision"], "tf32": self.run_config.tf32}
        if self.run_config.autocast:
            network["precision"]["autocast"] = "bfloat16"
        engine = self.config.spelling()
        if self.starts is not None:
            engine["starts"] = array_hash(self.starts.numpy())
        data: dict[str, Any] = {
            "order": "stream" if self.samples.total is None else "permuted",
            "rows": self.samples.total,
            "first": self.canvases.first_hashes(),
        }
        if self.samples.candidates is not None:
            data["slice"] = list(self.samples.candidates)
        return {"network": network, "canvas": self.kind.spelling(), "data": data, "engine": engine}

    def _names(self, labels: Mapping[str, str]) -> dict[str, Any]:
        encoder, samples, dataset = self.network.encoder, self.samples, self.samples.spec.dataset
        if dataset in labels:
            called = labels[dataset]
        else:
            called = local_label(dataset, samples.fingerprint) if is_local(dataset) else dataset
        return {
            "reference": self.network.label,
            "layer": encoder.layer,
            "revision": encoder.commit,
            "dataset": called,
            "config_name": samples.spec.config_name,
            "split": samples.spec.split,
            "data_revision": samples.commit,
            "image_column": samples.column,
            "notes": [*samples.notes, *(f"{self.network.label}: {n}" for n in encoder.notes)],
        }

    def _check_first(self) -> None:
        """Look at a few samples that differ: what is constant or never finite is known before any
        work.
        """
        differing = self.canvases.differing(PROBES, MOST_LOOKED_AT)
        if not differing:
            raise RunError(f"none of the first images of {self.samples.spec.dataset} can be read")
        self.network.check_varies(self._values(differing))

    @contextmanager
    def _descending(self, keys: Sequence[Key]) -> Iterator[Represent]:
        """What is inverted, prepared where there is something to do."""
        if not keys:
            yield self.network.session
            return
        with self.network.descending() as represent:
            yield represent

    def _descend(
        self, represent: Represent, keys: Sequence[Key], work: Work, bar: "tqdm[Any]"
    ) -> Iterator[Inverted]:
        def watch(seen: Watch) -> None:
            bar.set_postfix(active=seen.active, error=f"{seen.error:.3f}")

        return descend(
            represent,
            self._items(keys, work),
            self.config.method,
            constraint=self.config.constraint,
            passes=self.config.steps,
            tolerance=self.config.tolerance,
            batch_size=self.batch_size,
            watch=watch,
        )

    def _items(self, keys: Sequence[Key], work: Work) -> Iterator[Item]:
        """What the engine is to invert, a batch of samples at a time; what cannot be becomes a row
        at once.
        """
        batch = self.batch_size
        draws: dict[int, list[int]] = {}
        for position, draw in keys:
            draws.setdefault(position, []).append(draw)
        positions = list(draws)
        for first in range(0, len(positions), batch):
            some = {p: self.canvases.take(p) for p in positions[first : first + batch]}
            for position in (p for p, canvas in some.items() if canvas is None):
                index = int(self.samples.order[position])
                work.rows += [self._make.bare(index, d, "unreadable") for d in draws[position]]
            if canvases := [canvas for canvas in some.values() if canvas is not None]:
                yield from self._begun(canvases, draws, work)

    def _begun(
        self, canvases: list[Canvas], draws: dict[int, list[int]], work: Work
    ) -> Iterator[Item]:
        values = self._values(canvases)
        targets = self.network.represent(values)
        good = (targets.isfinite().all(1) & targets.any(1)).tolist()
        for i, canvas in enumerate(canvases):
            mine = draws[canvas.position]
            if not good[i]:
                work.rows += [self._make.bare(canvas.index, d, "not_finite", canvas) for d in mine]
                continue
            work.pending[canvas.position] = Pending(canvas, targets[i], len(mine))
            origin = values[i].to(targets) if self.config.constraint.uses_origin else None
            for draw in mine:
                start = self._start(canvas.position, draw).to(targets)
                yield Item((canvas.position, draw), start, targets[i], origin)

    def _values(self, canvases: Sequence[Canvas]) -> Tensor:
        return torch.from_numpy(np.stack([self.kind.values(c.array) for c in canvases]))

    def _start(self, position: int, draw: int) -> Tensor:
        index = int(self.samples.order[position])
        if self.starts is not None:
            return self.starts[self._places[index]]
        seed = self.config.seed
        return start_value(self.config.start, self.kind.shape, seed=seed, index=index, draw=draw)

    def _with_starts(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The start values that were handed in are kept with the rows, since nobody can draw them
        again.
        """
        if self.starts is not None:
            low, high = self.kind.bounds
            for row in rows:
                row["start"] = self.starts[self._places[row["index"]]].clamp(low, high).numpy()
        return rows

    def _check_starts(self) -> None:
        if (self.starts is None) == isinstance(self.config.start, Given):
            raise RequestError(
                "start='given' goes with a tensor of start images (starts=…), and only with it"
            )
        expected = (len(self.samples), *self.kind.shape)
        if self.starts is not None and tuple(self.starts.shape) != expected:
            raise RequestError(f"starts must have shape {expected}, not {tuple(self.starts.shape)}")
        if self.starts is not None and self.config.draws != 1:
            raise RequestError("starts are one per image; use draws=1")
