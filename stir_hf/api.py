"""The four verbs: invert, score, compare, matrix."""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from torch import Tensor

from stir_hf import scoring
from stir_hf.data.folder import run_folder
from stir_hf.data.identity import hash_of
from stir_hf.data.inversions import Inversions
from stir_hf.data.samples import Samples, common_size, open_samples
from stir_hf.data.sets import choose, common_mode, on_common_images
from stir_hf.data.spec import described
from stir_hf.data.splits import Data
from stir_hf.errors import RequestError
from stir_hf.job import Estimate, InversionJob, run_jobs, with_originals
from stir_hf.job import estimate as estimated
from stir_hf.models import Encoder, Model, Opened, as_encoders, opened, try_sizes
from stir_hf.options import asked_for, sorted_into
from stir_hf.publish import check_destination, publish
from stir_hf.results import StirResult
from stir_hf.runtime import Processes, RunConfig, environment


def invert(
    reference: Model,
    data: Data,
    *,
    revision: str | None = None,
    starts: Tensor | None = None,
    progress: bool = True,
    **options: Any,
) -> Inversions:
    """Find for each image another one that the reference represents identically (Nanda et al.
    2022, section 3).

    Args:
        reference: Hub id, `id@revision`, local folder, `Encoder`, model of `transformers` or
            `nn.Module`; see `load_encoder`.
        data: Hub id, `id@revision`, local folder or dataset in memory.
        revision: of the reference.
        starts: start images (n, c, h, w), in ascending order of their index, with `start="given"`.
        progress: a progress bar on stderr.
        options: `layer`, `num_samples`, `method`, `steps`, `out`, …: those of `stir-hf invert`,
            all in docs/options.md. Without `out` the inversions are in a temporary folder that
            goes when the object does.

    Raises:
        RequestError: the request is wrong; nothing was done.
        RunError: values that are not finite in every image, a constant representation, or out of
            memory.
    """
    named = {"DataSpec": described(data)}
    configured = sorted_into(options, "invert", named)
    model, spec, part, config, load, run, several, output, share = configured
    labels, processes = output.labels(str(reference), spec.dataset), several.processes(run.device)
    scoring.check_count(spec.num_samples, scoring.JudgeConfig().measure, spec.dataset)
    with ExitStack() as stack:
        stack.enter_context(processes.together())
        processes.on_main(lambda: check_destination(share))
        (encoder,) = processes.first_on_each_machine(
            lambda: as_encoders(
                [reference], [model.layer], load, run, spec.image_mode, labels, revision
            )
        )
        samples = processes.first_on_each_machine(lambda: open_samples(data, spec))
        scoring.check_count(len(samples), scoring.JudgeConfig().measure, spec.dataset)
        size = encoder.size or common_size(samples, encoder.name)
        network = stack.enter_context(opened(encoder, size, run, inverted=True))
        job = InversionJob(network, samples, size, config, run, labels, starts, part)
        folder = stack.enter_context(
            run_folder(output.out, job.manifest.hash, processes, keep=output.out is None)
        )
        (made,) = run_jobs([job], folder, processes, progress=progress)
        if processes.main:
            publish(share, [made.path], None, folder, kept=output.out is not None)
    return made.removed_with(folder) if output.out is None and processes.main else made


def score(
    models: Model | Sequence[Model],
    inversions: Inversions | Sequence[Inversions] | str | os.PathLike[str],
    *,
    progress: bool = True,
    **options: Any,
) -> StirResult:
    """STIR(model | reference) of one or several models on inversions that exist.

    The reference is not loaded.

    Args:
        models: as `reference` of `invert`.
        inversions: a set, several, the folder of one, or a folder or a dataset repo on the Hub
            (`id`, `id@revision`) that holds several.
        progress: a progress bar on stderr.
        options: `layer`, `measure`, `num_samples`, `draws`, `out`, …: those of `stir-hf score`,
            all in docs/options.md.

    Raises:
        RequestError: the request is wrong, or there are fewer images than the measure needs.
        RunError: values that are not finite, or a constant representation.
    """
    configured = sorted_into(options, "score")
    model, which, load, run, shared, judge, output, share = configured
    several: list[Any] = list(models) if isinstance(models, list | tuple) else [models]
    if not several:
        raise RequestError("no model to judge; give at least one")
    labels, processes = output.labels(*map(str, several)), shared.processes(run.device)
    with ExitStack() as stack:
        stack.enter_context(processes.together())
        processes.on_main(lambda: check_destination(share))
        sets = processes.first_on_each_machine(
            lambda: [with_originals(one, load) for one in choose(inversions, which)]
        )
        mode, layers = common_mode(sets), [model.layer] * len(several)
        encoders = processes.first_on_each_machine(
            lambda: as_encoders(several, layers, load, run, mode, labels)
        )
        for encoder in encoders:
            scoring.check(encoder, sets, judge.measure)
        sizes = list(dict.fromkeys(one.size for one in sets))
        networks = [
            stack.enter_context(opened(e, e.size or sizes[0], run, inverted=False))
            for e in encoders
        ]
        try_sizes(networks, sizes)
        scoring.check_first(networks, sets)
        asked = asked_for("score", networks, [s.manifest for s in sets], configured)
        folder = stack.enter_context(run_folder(output.out, asked["hash"], processes))
        pairs = [(n, s) for s in sets for n in networks]
        result = _judged(pairs, judge, run, asked, processes, progress=progress)
        kept = output.out is not None
        if processes.main:
            _save(result, folder, kept=kept)
            publish(share, (), result, folder, kept=kept)
        return result


def compare(
    model: Model, reference: Model, data: Data, *, progress: bool = True, **options: Any
) -> StirResult:
    """Both directions: `scores[0]` is STIR(model | reference), `scores[1]` is STIR(reference |
    model).

    Args, options and errors as `invert` and `score`; `layer` is read in the model,
    `reference_layer` in the reference. All options are in docs/options.md. A model may be compared
    with itself; the result says so.
    """
    return _every_pair("compare", [model, reference], data, options, progress=progress)


def matrix(
    models: Sequence[Model], data: Data, *, progress: bool = True, **options: Any
) -> StirResult:
    """STIR of every ordered pair of models: one inversion set per model, each judged by all the
    others.

    All pairs are judged on the images that could be inverted for every reference. Args, options
    and errors as `invert` and `score`; `layer` is read in every model. All options are in
    docs/options.md.
    """
    if not isinstance(models, list | tuple):
        raise RequestError(f"a matrix takes a list of models, not {type(models).__name__}")
    if len(models) < 2:
        raise RequestError(f"a matrix needs at least two models, not {len(models)}")
    return _every_pair("matrix", models, data, options, progress=progress)


def _every_pair(
    verb: str, models: Sequence[Model], data: Data, options: dict[str, Any], *, progress: bool
) -> StirResult:
    configured = sorted_into(options, verb, {"DataSpec": described(data)})
    by_type = {type(each).__name__: each for each in configured}
    layers = [by_type["LayerConfig"].layer] * len(models)
    if verb == "compare":
        layers[1] = by_type["PairConfig"].reference_layer
    run, output, judge = by_type["RunConfig"], by_type["OutputConfig"], by_type["JudgeConfig"]
    spec, load, share = by_type["DataSpec"], by_type["LoadConfig"], by_type["PublishConfig"]
    processes = by_type["ProcessConfig"].processes(run.device)
    labels = output.labels(*map(str, models), spec.dataset)
    scoring.check_count(spec.num_samples, judge.measure, spec.dataset)
    with ExitStack() as stack:
        stack.enter_context(processes.together())
        processes.on_main(lambda: check_destination(share))
        encoders = processes.first_on_each_machine(
            lambda: as_encoders(models, layers, load, run, spec.image_mode, labels)
        )
        samples = processes.first_on_each_machine(lambda: open_samples(data, spec))
        scoring.check_count(len(samples), judge.measure, spec.dataset)
        networks, jobs = _opened(stack, encoders, samples, by_type, labels)
        asked = asked_for(verb, networks, [job.manifest for job in jobs], configured)
        folder = stack.enter_context(run_folder(output.out, asked["hash"], processes))
        distinct = list(dict.fromkeys(jobs))
        made = on_common_images(run_jobs(distinct, folder, processes, progress=progress))
        sets = [made[distinct.index(job)] for job in jobs]
        order = reversed(range(len(models))) if verb == "compare" else range(len(models))
        pairs = [(m, sets[i]) for i in order for j, m in enumerate(networks) if j != i]
        result = _judged(pairs, judge, run, asked, processes, progress=progress)
        kept = output.out is not None
        if processes.main:
            _save(result, folder, kept=kept)
            paths = list(dict.fromkeys(one.path for one in sets))
            publish(share, paths, result, folder, kept=kept)
        return result


def estimate(
    models: Sequence[Model], data: Data, *, verb: str = "matrix", **options: Any
) -> list[Estimate]:
    """What a run would take, from a few real passes of each network: time, memory and disk. Nothing
    is kept.

    Args:
        models: those of `compare` or `matrix`, or the one of `invert`.
        data: as that verb's.
        verb: which verb's options these are.
        options: those of the verb, in docs/options.md.

    Raises:
        RequestError: whatever the verb refuses.
    """
    configured = sorted_into(options, verb, {"DataSpec": described(data)})
    by_type = {type(each).__name__: each for each in configured}
    run, output, spec = by_type["RunConfig"], by_type["OutputConfig"], by_type["DataSpec"]
    processes = by_type["ProcessConfig"].processes(run.device)
    labels = output.labels(*map(str, models), spec.dataset)
    layers = [by_type["LayerConfig"].layer] * len(models)
    if verb == "compare":
        layers[1] = by_type["PairConfig"].reference_layer
    with ExitStack() as stack:
        stack.enter_context(processes.together())
        encoders = processes.first_on_each_machine(
            lambda: as_encoders(models, layers, by_type["LoadConfig"], run, spec.image_mode, labels)
        )
        samples = processes.first_on_each_machine(lambda: open_samples(data, spec))
        _, jobs = _opened(stack, encoders, samples, by_type, labels)
        return estimated(list(dict.fromkeys(jobs)), output.out, processes)


def _judged(
    pairs: Sequence[tuple[Opened, Inversions]],
    judge: scoring.JudgeConfig,
    run: RunConfig,
    asked: dict[str, Any],
    processes: Processes,
    *,
    progress: bool,
) -> StirResult:
    judged = scoring.judge(pairs, judge.measure, run, processes, progress=progress)
    scores, moves = zip(*judged, strict=True)
    return StirResult(scores, asked, environment(pairs[0][0].encoder.device), moves)


def _save(result: StirResult, folder: Path, *, kept: bool) -> None:
    if kept:
        result.save(folder)


def _opened(
    stack: ExitStack,
    encoders: Sequence[Encoder],
    samples: Samples,
    by_type: dict[str, Any],
    labels: dict[str, str],
) -> tuple[list[Opened], list[InversionJob]]:
    """The networks at work, and the inversion set of each; equal networks share one."""
    run, config = by_type["RunConfig"], by_type["InversionConfig"]
    sizes = [e.size or common_size(samples, e.name) for e in encoders]
    networks = [
        stack.enter_context(opened(e, size, run, inverted=True))
        for e, size in zip(encoders, sizes, strict=True)
    ]
    try_sizes(networks, sizes)
    jobs: dict[str, InversionJob] = {}
    for network, size in zip(networks, sizes, strict=True):
        digest = hash_of(network.identity)
        if digest in jobs:
            jobs[digest].check_same(network)
        else:
            part = by_type.get("PartConfig")
            jobs[digest] = InversionJob(network, samples, size, config, run, labels, part=part)
    return networks, [jobs[hash_of(network.identity)] for network in networks]
