"""Load the models and the data of a verb, and try what can be tried before the work begins."""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from torch import Tensor

from stir_hf import scoring
from stir_hf.data.identity import hash_of
from stir_hf.data.sets.choice import choose, common_mode
from stir_hf.data.sets.inversions import Inversions
from stir_hf.data.sources.samples import Samples, open_samples
from stir_hf.data.sources.splits import Data
from stir_hf.errors import RequestError
from stir_hf.inputs.base import Kind
from stir_hf.inputs.images import MODES
from stir_hf.job import InversionJob, with_originals
from stir_hf.models import Encoder, Model, Opened, as_encoders, opened, try_kinds
from stir_hf.options.verbs import InversionOptions, InvertOptions, RunOptions, ScoreOptions
from stir_hf.publish import check_destination
from stir_hf.runtime import Processes, Watcher


@dataclass(frozen=True)
class Prepared:
    """The networks of a run with an inversion set to make for each."""

    networks: list[Opened]
    jobs: list[InversionJob]
    """One for each network; equal networks share one."""

    @property
    def distinct(self) -> list[InversionJob]:
        """Every inversion set once."""
        return list(dict.fromkeys(self.jobs))


def prepare(
    stack: ExitStack,
    processes: Processes,
    options: InversionOptions,
    models: Sequence[Model],
    data: Data,
    *,
    progress: bool | Watcher,
    revision: str | None = None,
    starts: Tensor | None = None,
) -> Prepared:
    """Load the models and the data of a verb that makes inversions, and try what can be tried;
    `stack` closes the networks' sessions.

    Raises:
        RequestError: the request is wrong.
        RunError: representations that are constant or not finite.
    """
    spec, judging = options.data, options.judging
    options.processes.check(processes)
    labels = options.output.labels(*map(str, models), spec.dataset)
    scoring.check_count(spec.num_samples, judging, spec.dataset)
    processes.on_main(lambda: check_destination(options.publish))
    encoders = _encoders(processes, options, models, spec.image_mode, labels, revision)
    shown = progress if processes.main else False
    samples = processes.first_on_each_machine(lambda: open_samples(data, spec, shown))
    scoring.check_count(len(samples), judging, spec.dataset)
    encoders = [encoder.over(samples.modality) for encoder in encoders]
    return _opened(stack, encoders, samples, options, labels, starts)


def prepare_scores(
    stack: ExitStack,
    processes: Processes,
    options: ScoreOptions,
    models: Sequence[Model],
    inversions: "Inversions | Sequence[Inversions] | str | os.PathLike[str]",
) -> tuple[list[Opened], list[Inversions]]:
    """Load the models that are judged and the inversion sets that exist, and try one on the other;
    `stack` closes the networks' sessions.

    Raises:
        RequestError: the request is wrong.
        RunError: representations that are constant or not finite.
    """
    options.processes.check(processes)
    if not models:
        raise RequestError("no model to judge; give at least one")
    processes.on_main(lambda: check_destination(options.publish))
    labels = options.output.labels(*map(str, models))
    sets = processes.first_on_each_machine(
        lambda: [with_originals(one, options.load) for one in choose(inversions, options.sets)]
    )
    encoders = _encoders(processes, options, models, common_mode(sets), labels)
    encoders = [encoder.over(sets[0].kind.name) for encoder in encoders]
    for encoder in encoders:
        scoring.check(encoder, sets, options.judge)
    kinds = list(dict.fromkeys(one.kind for one in sets))
    networks = [
        stack.enter_context(opened(e, kinds[0], options.run, inverted=False)) for e in encoders
    ]
    try_kinds(networks, kinds)
    scoring.check_first(networks, sets)
    return networks, sets


def _encoders(
    processes: Processes,
    options: RunOptions,
    models: Sequence[Model],
    image_mode: str | None,
    labels: dict[str, str],
    revision: str | None = None,
) -> list[Encoder]:
    layers = options.layers(len(models))
    return processes.first_on_each_machine(
        lambda: as_encoders(models, layers, options.load, options.run, image_mode, labels, revision)
    )


def _opened(
    stack: ExitStack,
    encoders: Sequence[Encoder],
    samples: Samples,
    options: InversionOptions,
    labels: dict[str, str],
    starts: Tensor | None,
) -> Prepared:
    """The networks with their sessions open, and the inversion set of each."""
    run, config = options.run, options.inversion
    part = options.part if isinstance(options, InvertOptions) else None
    further = _further(options, encoders[0], samples, labels)
    kinds = [_canvas(encoder, samples) for encoder in encoders]
    networks = [
        stack.enter_context(opened(encoder, kind, run, inverted=True))
        for encoder, kind in zip(encoders, kinds, strict=True)
    ]
    try_kinds(networks, kinds)
    jobs: dict[str, InversionJob] = {}
    for network in networks:
        digest = hash_of(network.identity)
        if digest in jobs:
            jobs[digest].check_same(network)
            continue
        others = [
            stack.enter_context(opened(encoder, network.kind, run, inverted=True))
            for encoder in further
        ]
        jobs[digest] = InversionJob(network, samples, config, run, labels, starts, part, others)
    return Prepared(networks, [jobs[hash_of(network.identity)] for network in networks])


def _further(
    options: InversionOptions, beside: Encoder, samples: Samples, labels: dict[str, str]
) -> list[Encoder]:
    """The encoders of the further models of the objective.

    Raises:
        RequestError: an error of `load_encoder`, or a model of another kind of input.
    """
    names = options.inversion.objective.networks
    mode = MODES.get(getattr(beside.preprocessing, "channels", 0))
    layers = [options.layer.layer] * len(names)
    own = {path: label for path, label in labels.items() if path}  # --name is the reference's
    found = as_encoders(names, layers, options.load, options.run, mode, own)
    return [encoder.over(samples.modality) for encoder in found]


def _canvas(encoder: Encoder, samples: Samples) -> Kind:
    """The kind of input of a reference: at its native size, or at that of all samples."""
    preprocessing = encoder.preprocessing
    extent = preprocessing.extent or preprocessing.extent_of(samples.common_shape(encoder.name))
    return encoder.kind(extent)
