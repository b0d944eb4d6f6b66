"""An inversion job, which turns a reference, samples and options into rows on disk."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from stir_hf.data.files import shards
from stir_hf.data.files.columns import CLASS_KEPT
from stir_hf.data.identity import array_hash, hash_of, local_label, probe_record
from stir_hf.data.sets.inversions import Inversions
from stir_hf.data.sets.manifest import FILE_NAME, Manifest
from stir_hf.data.sets.parts import PartConfig
from stir_hf.data.sets.spread import Spread, spread_of
from stir_hf.data.sources.beside import read_folder
from stir_hf.data.sources.canvases import Canvases
from stir_hf.data.sources.samples import Samples
from stir_hf.engine import Accepting, Given, InversionConfig, Plan, Represent
from stir_hf.errors import RequestError, RunError
from stir_hf.hub import is_local
from stir_hf.job.inputs import inputs_of
from stir_hf.job.left import Left, left_of
from stir_hf.job.records import FIRST, records_of
from stir_hf.job.rows import RowMaker
from stir_hf.job.starts import Starts, folder_of, without_folder
from stir_hf.models import LOOKED_AT, Opened
from stir_hf.runtime import Processes, RunConfig

SPREAD_OVER = 64
"""Number of first samples whose representations give the spread of a relative tolerance."""


class InversionJob:
    """An inversion set in progress, of a reference with an open session. Everything is checked when
    the job is created, before anything is written.

    Args:
        labels: names of local folders in results, by path.
        starts: start values (n, *shape), one per sample in ascending order of the index, for
            `start="given"`.
        part: the part of the samples that this run makes.
        others: the further models of the objective, with open sessions.

    Raises:
        RequestError: starts that do not fit, or options that this kind of input does not have.
        RunError: the first samples' representations are constant, zero or not finite.
    """

    def __init__(
        self,
        network: Opened,
        samples: Samples,
        config: InversionConfig,
        run: RunConfig,
        labels: Mapping[str, str],
        starts: Tensor | None = None,
        part: PartConfig | None = None,
        others: Sequence[Opened] = (),
    ) -> None:
        self.network, self.samples, self.run_config = network, samples, run
        self.kind, self.others = network.kind, tuple(others)
        asked = config.on(network.kind)
        self.config = without_folder(
            replace(asked, objective=asked.objective.of_networks([_digits(o) for o in others]))
        )
        self.part = part or PartConfig()
        self.asked = np.zeros((len(samples), self.config.draws), bool)
        self.asked[self.part.positions] = True
        if not self.count:
            raise RequestError(
                f"part {self.part.part} of {len(samples)} {self.kind.name}s is empty; take at most"
                f" {len(samples)} parts"
            )
        values, device = math.prod(self.kind.shape), network.encoder.device
        self.batch_size = run.batch(values, device, network.workers)
        self.canvases = Canvases(samples, network.encoder.canvas, self.kind.shape)
        if starts is None and (folder := folder_of(config)):
            starts = read_folder(folder, self.canvases, self.kind)
        given = None if starts is None else starts.detach().cpu().float()
        self._check_starts(given)
        self.starts = Starts(self.config, self.kind, self.canvases, given)
        labelled = samples.label_column is not None
        classes = isinstance(config.method, Accepting)
        self.make = RowMaker(
            network, self.kind, config.exact, config.good_enough, labelled, classes
        )
        if self.config.method.straight:
            network.check_fake_relu()
        self._check_first()
        self.manifest = self._manifest(network, self._names(labels))

    def _manifest(self, network: Opened, names: dict[str, Any]) -> Manifest:
        return Manifest(
            identity=self._identity(),
            probe=_probe(network),
            first_start=array_hash(self.starts.of(0, 0).numpy()),
            originals=records_of(network, self.canvases.differing(FIRST, LOOKED_AT)),
            settings=network.encoder.settings(),
            names=names,
            others=tuple(
                {"probe": _probe(one), "settings": one.encoder.settings()} for one in self.others
            ),
        )

    def measured_spread(self) -> Spread | None:
        """The spread of the representations of the first 64 samples in the order of the data,
        also those of other parts; None if fewer than two can be read, or all representations are
        equal.
        """
        first = range(min(len(self.samples), SPREAD_OVER))
        canvases = [canvas for p in first if (canvas := self.canvases.peek(p)) is not None]
        size = self.batch_size
        batches = (canvases[i : i + size] for i in range(0, len(canvases), size))
        seen = (self.network.represent(*inputs_of(self.kind, batch)) for batch in batches)
        vectors = (found.cpu().double() for found in seen)
        return spread_of(found[found.isfinite().all(1)].numpy() for found in vectors)

    def settle_spread(self, folder: Path | None, processes: Processes) -> None:
        """Set the spread for a tolerance that is relative to it: the recorded one of a set in the
        folder, otherwise the main process measures it.

        Raises:
            RequestError: the spread does not exist.
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
                f"tolerance={self.config.tolerance!r} is relative to the spread of the first"
                f" {self.kind.name}s, but {self.network.where} represents all of them the same;"
                " give a number, or choose another layer"
            )
        self.make = replace(self.make, spread=spread)
        self.manifest = replace(self.manifest, spread=spread)

    def check_same(self, other: Opened) -> None:
        """Check that another network of equal identity has equal representations.

        Raises:
            RequestError: they differ, so that the network needs its own inversions.
        """
        if (why := self.manifest.differs(self._manifest(other, {}))) is not None:
            raise RequestError(
                f"{self.network.encoder.name} and {other.encoder.name} have the same weights but"
                f" different outputs ({why}); invert each into its own folder, then score"
            )

    @property
    def count(self) -> int:
        """The number of requested rows."""
        return int(self.asked.sum())

    def todo(self, folder: Path) -> Left:
        """Find the requested rows that are not in `folder` yet.

        Raises:
            RequestError: a sample that has changed since it was inverted.
        """
        return left_of(folder, self.canvases, self.asked, together=self.config.diverse > 0)

    def finish(self, folder: Path) -> None:
        """Compact the rows and record the finished prefix, unless this is a part. Call it in one
        process.

        Raises:
            RunError: no sample could be inverted.
        """
        shards.compact(folder)
        found = self.read(folder)
        if not len(found) and self.part.part is None:
            kinds = " or ".join(sorted(set(found.left_out.values())))
            raise RunError(
                f"{self.network.where}: no {self.kind.name} could be inverted: all are {kinds}"
            )
        if self.part.part is None:
            Manifest.read(folder).finished(found.num_samples, found.draws).write(folder)

    def read(self, folder: Path) -> Inversions:
        """Read the requested rows."""
        return Inversions.read(folder, len(self.samples), self.config.draws, self.part.positions)

    def _identity(self) -> dict[str, Any]:
        precision = {**self.network.identity["precision"], "tf32": self.run_config.tf32}
        if self.run_config.autocast:
            precision["autocast"] = "bfloat16"
        if self.run_config.compile:
            precision["compile"] = True
        network = {**self.network.identity, "precision": precision}
        engine = self.config.spelling()
        if self.starts.given is not None:
            engine["starts"] = array_hash(self.starts.given.numpy())
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
            "image_column": samples.column.name,
            "notes": [*samples.notes, *self.network.notes],
            **({"objective": [o.label for o in self.others]} if self.others else {}),
        }

    def _check_first(self) -> None:
        """Check a few distinct samples, before any work, for representations that are constant or
        not finite.
        """

        def differing(count: int) -> tuple[Tensor, dict[str, Tensor]]:
            found = self.canvases.differing(count, LOOKED_AT)
            if not found:
                dataset = self.samples.spec.dataset
                raise RunError(f"none of the first {self.kind.name}s of {dataset} can be read")
            return inputs_of(self.kind, found)

        self.network.check_varies(differing)

    @property
    def more_columns(self) -> list[str]:
        """The columns that only some sets have, of this one."""
        has = {
            "start": self.starts.given is not None,
            "start_index": self.config.start.of_data,
            **dict.fromkeys(("restart", "tried"), self.config.restarts != 1),
            "unstored_error": self.config.bound_by.unbounded and self.kind.bounds is not None,
            CLASS_KEPT: self.make.classes,
        }
        return [name for name, there in has.items() if there]

    @contextmanager
    def descending(self) -> Iterator[tuple[Represent, Plan]]:
        """A context with the network at work, and what a descent does with every row."""
        straight = self.config.method.straight
        with ExitStack() as stack:
            represent = stack.enter_context(self.network.descending(fake_relu=straight))
            others = [stack.enter_context(one.descending()) for one in self.others]
            yield represent, self.config.plan(self.kind, others)

    def _check_starts(self, starts: Tensor | None) -> None:
        if (starts is None) == isinstance(self.config.start, Given):
            raise RequestError(
                "start='given' goes with a tensor of starts (starts=…) or a folder (given:FOLDER),"
                " and they with it"
            )
        expected = (len(self.samples), *self.kind.shape)
        if starts is not None and tuple(starts.shape) != expected:
            raise RequestError(f"starts must have shape {expected}, not {tuple(starts.shape)}")


def _probe(network: Opened) -> list[float]:
    """Values of the representation of the network's probe."""
    return probe_record(network.probe.cpu().double().numpy())


def _digits(network: Opened) -> str:
    """16 hexadecimal digits of a network's identity."""
    return hash_of(network.identity)[:16]
