"""One inversion set in the making: a reference, samples and a configuration become rows on disk."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stir_hf.data.files import shards
from stir_hf.data.identity import array_hash, local_label, probe_record
from stir_hf.data.images.canvases import Canvas, Canvases
from stir_hf.data.sets.inversions import Inversions
from stir_hf.data.sets.manifest import FILE_NAME, Manifest
from stir_hf.data.sets.parts import PartConfig
from stir_hf.data.sets.spread import Spread, spread_of
from stir_hf.data.sources.samples import Samples
from stir_hf.engine import Given, InversionConfig, start_value
from stir_hf.errors import RequestError, RunError
from stir_hf.hub import is_local
from stir_hf.job.exercise import IMAGES, image_records
from stir_hf.job.left import Left, left_of
from stir_hf.job.rows import RowMaker
from stir_hf.models import LOOKED_AT, Opened
from stir_hf.runtime import Processes, RunConfig

SPREAD_OVER = 64
"""Number of the first samples over whose representations a tolerance's spread is measured."""


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
        part: which of the samples are made here.

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
        part: PartConfig | None = None,
    ) -> None:
        self.network, self.samples, self.config, self.run_config = network, samples, config, run
        self.part = part or PartConfig()
        if not self.count:
            raise RequestError(
                f"part {self.part.part} of {len(samples)} images is empty; take at most"
                f" {len(samples)} parts"
            )
        self.size, self.kind = size, network.encoder.kind(size)
        self.batch_size = run.batch(math.prod(self.kind.shape), network.encoder.device)
        self.canvases = Canvases(samples, network.encoder.canvas, self.kind.shape)
        self.starts = None if starts is None else starts.detach().cpu().float()
        rank = np.argsort(samples.order) if starts is not None else ()
        self._places = {int(samples.order[p]): i for i, p in enumerate(rank)}
        self._check_starts()
        labelled = samples.label_column is not None
        self.make = RowMaker(network, self.kind, config.exact, config.good_enough, labelled)
        self._check_first()
        self.manifest = self._manifest(network, self._names(labels))

    def _manifest(self, network: Opened, names: dict[str, Any]) -> Manifest:
        return Manifest(
            identity=self._identity(),
            probe=probe_record(network.probe.cpu().double().numpy()),
            first_start=array_hash(self.start(0, 0).numpy()),
            images=image_records(network, self.kind, self.canvases.differing(IMAGES, LOOKED_AT)),
            settings=network.encoder.settings(),
            names=names,
        )

    def measured_spread(self) -> Spread | None:
        """The spread of the representations of the first 64 samples in the order of the data,
        whichever of them are made here; None where fewer than two can be read, or all are
        represented the same.
        """
        first = range(min(len(self.samples), SPREAD_OVER))
        canvases = [canvas for p in first if (canvas := self.canvases.peek(p)) is not None]
        batches = (
            self.network.represent(self.values(canvases[i : i + self.batch_size])).cpu().double()
            for i in range(0, len(canvases), self.batch_size)
        )
        return spread_of(found[found.isfinite().all(1)].numpy() for found in batches)

    def settle_spread(self, folder: Path | None, processes: Processes) -> None:
        """Take the spread that the tolerance is of, where it is: what the folder's set was begun
        with, else the main process measures it.

        Raises:
            RequestError: there is none.
        """
        if not self.config.good_enough.of_spread:
            return

        def found() -> float | None:
            there = folder is not None and (folder / FILE_NAME).exists()
            known = Manifest.read(folder).spread if folder is not None and there else None
            measured = self.measured_spread() if known is None else None
            return known if measured is None else measured.spread

        spread = processes.on_main(found)
        if spread is None:
            raise RequestError(
                f"tolerance={self.config.tolerance!r} is of the spread of the first images, and"
                f" {self.network.where} represents no two of them otherwise; give a number"
            )
        self.make = replace(self.make, spread=spread)
        self.manifest = replace(self.manifest, spread=spread)

    def check_same(self, other: Opened) -> None:
        """See that another network of equal identity represents images alike.

        Raises:
            RequestError: it does not, so that it needs inversions of its own.
        """
        why = self.manifest.differs(self._manifest(other, {}))
        if why is not None:
            raise RequestError(
                f"{self.network.encoder.name} and {other.encoder.name} have the same weights and"
                f" are not the same ({why}); invert each into a folder of its own, then"
                " score"
            )

    @property
    def count(self) -> int:
        """How many rows were asked for."""
        return len(range(len(self.samples))[self.part.positions]) * self.config.draws

    def keys(self) -> NDArray[np.int64]:
        """All that was asked for, (n, 2): position and draw, sorted."""
        return np.argwhere(self._asked())

    def _asked(self) -> NDArray[np.bool_]:
        asked = np.zeros((len(self.samples), self.config.draws), bool)
        asked[self.part.positions] = True
        return asked

    def todo(self, folder: Path) -> Left:
        """Find the rows that were asked for and are not in `folder` yet.

        Raises:
            RequestError: a sample that has changed since it was inverted.
        """
        return left_of(folder, self.canvases, self._asked())

    def finish(self, folder: Path) -> None:
        """Compact the rows and record what is finished, unless this is a part; one process does.

        Raises:
            RunError: no sample could be inverted.
        """
        shards.compact(folder)
        found = self.read(folder)
        if not len(found) and self.part.part is None:
            kinds = " or ".join(sorted(set(found.left_out.values())))
            raise RunError(
                f"{self.network.where}: no image could be inverted: every one is {kinds}"
            )
        if self.part.part is None:
            Manifest.read(folder).finished(found.num_samples, found.draws).write(folder)

    def read(self, folder: Path) -> Inversions:
        """What was asked for."""
        return Inversions.read(folder, len(self.samples), self.config.draws, self.part.positions)

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
        if self.samples.spec.shuffle_buffer is not None:
            data["shuffle_buffer"] = self.samples.spec.shuffle_buffer
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
            "image_column": samples.images.name,
            "notes": [*samples.notes, *self.network.notes],
        }

    def _check_first(self) -> None:
        """Look at a few samples that differ: what is constant or never finite is known before any
        work.
        """

        def differing(count: int) -> Tensor:
            found = self.canvases.differing(count, LOOKED_AT)
            if not found:
                dataset = self.samples.spec.dataset
                raise RunError(f"none of the first images of {dataset} can be read")
            return self.values(found)

        self.network.check_varies(differing)

    def values(self, canvases: Sequence[Canvas]) -> Tensor:
        """(b, *shape): what the network gets of these samples."""
        return torch.from_numpy(np.stack([self.kind.values(c.array) for c in canvases]))

    def start(self, position: int, draw: int) -> Tensor:
        """(*shape): where the descent begins, on the CPU."""
        index = int(self.samples.order[position])
        if self.starts is not None:
            return self.starts[self._places[index]]
        seed = self.config.seed
        return start_value(self.config.start, self.kind.shape, seed=seed, index=index, draw=draw)

    def with_starts(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The start values that were handed in are kept with the rows, since nobody can draw them
        again.
        """
        if self.starts is not None:
            for row in rows:
                row["start"] = self.starts[self._places[row["index"]]].numpy()
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
