"""What the verbs need before any work: options, networks at work, and the inversion set of each."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from stir_hf import scoring
from stir_hf.data.identity import hash_of
from stir_hf.data.sources.samples import Samples, open_samples
from stir_hf.data.sources.spec import described
from stir_hf.data.sources.splits import Data
from stir_hf.inputs.base import Kind
from stir_hf.job import InversionJob
from stir_hf.models import Encoder, Model, Opened, as_encoders, opened, over, try_kinds
from stir_hf.options import sorted_into
from stir_hf.publish import check_destination
from stir_hf.runtime import Processes, Watcher


@dataclass(frozen=True)
class Prepared:
    """A verb's options and networks, all of it tried."""

    configured: tuple[Any, ...]
    """The dataclasses that the options went into."""
    networks: list[Opened]
    """One for each model."""
    jobs: list[InversionJob]
    """The inversion set of each network; equal networks share one."""

    def __getitem__(self, name: str) -> Any:
        """One of those dataclasses, by its name."""
        return next(each for each in self.configured if type(each).__name__ == name)

    @property
    def distinct(self) -> list[InversionJob]:
        """Every inversion set once."""
        return list(dict.fromkeys(self.jobs))


def prepare(
    stack: ExitStack,
    processes: Processes,
    verb: str,
    models: Sequence[Model],
    data: Data,
    options: dict[str, Any],
    *,
    progress: bool | Watcher,
    revision: str | None = None,
    starts: Tensor | None = None,
) -> Prepared:
    """Sort the options, load the models and the data, and try what can be tried.

    Args:
        stack: closes the networks' sessions.
        processes: of the run.
        verb: `invert`, `compare` or `matrix`.
        models: the references.
        data: what is inverted.
        options: of the verb.
        progress: as the verb's.
        revision: of the models.
        starts: as `stir_hf.invert` has it.

    Raises:
        RequestError: the request is wrong.
        RunError: representations that are constant or not finite.
    """
    configured = sorted_into(options, verb, {"DataSpec": described(data)})
    by_type = {type(each).__name__: each for each in configured}
    by_type["ProcessConfig"].check(processes)
    spec, run, judge = by_type["DataSpec"], by_type["RunConfig"], by_type.get("JudgeConfig")
    labels = by_type["OutputConfig"].labels(*map(str, models), spec.dataset)
    measure = (judge or scoring.JudgeConfig()).measure
    scoring.check_count(spec.num_samples, measure, spec.dataset)
    processes.on_main(lambda: check_destination(by_type["PublishConfig"]))
    layers = [by_type["LayerConfig"].layer] * len(models)
    if "PairConfig" in by_type:
        layers[1] = by_type["PairConfig"].reference_layer
    mode, load = spec.image_mode, by_type["LoadConfig"]
    encoders = processes.first_on_each_machine(
        lambda: as_encoders(models, layers, load, run, mode, labels, revision)
    )
    shown = progress if processes.main else False
    samples = processes.first_on_each_machine(lambda: open_samples(data, spec, shown))
    scoring.check_count(len(samples), measure, spec.dataset)
    encoders = over(encoders, samples.modality)
    networks, jobs = _opened(stack, encoders, samples, by_type, labels, starts)
    return Prepared(configured, networks, jobs)


def _opened(
    stack: ExitStack,
    encoders: Sequence[Encoder],
    samples: Samples,
    by_type: dict[str, Any],
    labels: dict[str, str],
    starts: Tensor | None,
) -> tuple[list[Opened], list[InversionJob]]:
    """The networks at work, and the inversion set of each."""
    run, config = by_type["RunConfig"], by_type["InversionConfig"]
    kinds = [_canvas(encoder, samples) for encoder in encoders]
    networks = [
        stack.enter_context(opened(e, kind, run, inverted=True))
        for e, kind in zip(encoders, kinds, strict=True)
    ]
    try_kinds(networks, kinds)
    jobs: dict[str, InversionJob] = {}
    for network in networks:
        digest = hash_of(network.identity)
        if digest in jobs:
            jobs[digest].check_same(network)
            continue
        part = by_type.get("PartConfig")
        jobs[digest] = InversionJob(network, samples, config, run, labels, starts, part)
    return networks, [jobs[hash_of(network.identity)] for network in networks]


def _canvas(encoder: Encoder, samples: Samples) -> Kind:
    """The kind of input of a reference: at its native size, or at that of all samples."""
    preprocessing = encoder.preprocessing
    extent = preprocessing.extent or preprocessing.extent_of(samples.common_shape(encoder.name))
    return encoder.kind(extent)
